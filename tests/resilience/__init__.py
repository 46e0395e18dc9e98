"""Proofs that nothing is lost and nobody let in, whatever goes wrong."""
