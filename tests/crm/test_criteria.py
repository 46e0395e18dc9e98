"""Invalid criteria are refused before a job is paid for, at the right place; valid ones never."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from local_zoho_crm import Organisation
from local_zoho_crm.criteria import compile_criteria
from local_zoho_crm.errors import ZohoError
from local_zoho_crm.metadata import fields_json
from tap_zoho_bulk.crm.criteria import structure_problem, type_problems
from tap_zoho_bulk.crm.field_types import json_schema, type_note
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.singer import entry

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand

    Path = tuple[str | int, ...]

LEADS = Organisation.generate(seed=72, only=["Leads"], sizes={"Leads": 5})
FIELDS = {
    field["api_name"]: field for field in fields_json(LEADS, LEADS.module("Leads"), version=8)
}
PROPERTIES = {
    name: {**json_schema(field, multiselect_array=False), "description": type_note(field)}
    for name, field in FIELDS.items()
    if name != "id"
}

TEXT = ("equal", "not_equal", "contains", "not_contains", "starts_with", "ends_with")
ORDER = ("equal", "not_equal", "less_than", "less_equal", "greater_than", "greater_equal")
COMPARATORS = sorted({*TEXT, *ORDER, "in", "not_in", "between", "not_between"})
WHOLE = st.integers(-(10**18), 10**18)
DAYS = st.dates().map(lambda day: day.isoformat())
INSTANTS = st.builds(
    lambda instant, zone: f"{instant.replace(microsecond=0).isoformat()}{zone}",
    st.datetimes(),
    st.sampled_from(["Z", "+00:00", "-07:00", "+05:30"]),
)
WORDS = st.text(max_size=255).filter(lambda text: not text.startswith("${"))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.decimals(
    allow_nan=False, allow_infinity=False, places=2
).map(str)
# One field of each kind that Zoho documents: comparators for one value, values, and no values.
KINDS: dict[str, tuple[tuple[str, ...], st.SearchStrategy[Any], st.SearchStrategy[Any]]] = {
    **dict.fromkeys(
        ("Last_Name", "Email", "Phone", "Website", "Lead_Source", "Interests"),
        (TEXT, WORDS, st.just("x" * 256)),
    ),
    **dict.fromkeys(
        ("No_of_Employees", "Legacy_Number"),
        (ORDER, WHOLE | WHOLE.map(str), st.sampled_from(["many", 0.5, True, "", "1" * 20])),
    ),
    **dict.fromkeys(
        ("Annual_Revenue", "Rating_Score", "Discount", "Days_Open"),
        (ORDER, NUMBERS, st.sampled_from(["much", False, "1,5", "NaN", "Infinity"])),
    ),
    "First_Visited_On": (
        ORDER,
        DAYS,
        st.sampled_from(["2024-02-30", "yesterday", 5, "2024-01-01T00:00:00Z", "20240101"]),
    ),
    "Last_Activity_Time": (
        ORDER,
        INSTANTS,
        st.sampled_from(["2024-01-01", "2024-01-01T00:00:00.000Z", "2024-01-01T00:00:00", 7]),
    ),
    "Email_Opt_Out": (
        ("equal",),
        st.sampled_from([True, False, "true", "FALSE"]),
        st.sampled_from(["yes", 1, ""]),
    ),
    "Owner": (
        ("equal", "not_equal"),
        st.integers(1, 10**19 - 1) | st.integers(1, 10**19 - 1).map(str),
        st.sampled_from(["Patricia", 0.5, True]),
    ),
}
FITTING_ALL = ("equal", "not_equal")  # which also allow `${EMPTY}`


def single(field: str, comparator: str, value: Any) -> Json:
    return {"field": {"api_name": field}, "comparator": comparator, "value": value}


@st.composite
def right_leaves(draw: st.DrawFn) -> Json:
    """Return a criterion that Zoho accepts."""
    field = draw(st.sampled_from(sorted(KINDS)))
    comparators, values, _ = KINDS[field]
    several = ["in", "not_in"] if field != "Email_Opt_Out" else []
    spans = (
        ["between", "not_between"] if field in {"First_Visited_On", "Last_Activity_Time"} else []
    )
    comparator = draw(st.sampled_from([*comparators, *several, *spans]))
    if comparator in spans:
        return single(field, comparator, draw(st.lists(values, min_size=2, max_size=2)))
    if comparator in {*FITTING_ALL, *several}:
        values = values | st.just("${EMPTY}")
    if comparator in several:
        return single(field, comparator, draw(st.lists(values, min_size=1, max_size=4)))
    return single(field, comparator, draw(values))


def groups(leaves: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.recursive(
        leaves,
        lambda parts: st.fixed_dictionaries(
            {
                "group": st.lists(parts, min_size=1, max_size=3),
                "group_operator": st.sampled_from(["and", "or"]),
            }
        ),
        max_leaves=8,
    )


def ours(criteria: Any) -> list[Path]:
    """Return the place at which the tap refuses the criteria."""
    problem = structure_problem(criteria)
    if problem is not None:
        return [problem.path]
    return [problem.path for problem in type_problems(criteria, PROPERTIES)]


def theirs(criteria: Any) -> str | None:
    """Return the code with which Zoho refuses the criteria."""
    try:
        compile_criteria(criteria, LEADS, LEADS.module("Leads"), version=8)
    except ZohoError as error:
        return error.code
    return None


def places(criteria: Json, path: Path = ()) -> list[Path]:
    """Return the paths of all single criteria."""
    if "group" not in criteria:
        return [path]
    return [
        place
        for number, part in enumerate(criteria["group"])
        for place in places(part, (*path, "group", number))
    ]


@hypothesis_settings(deadline=None)
@given(groups(right_leaves()))
def test_what_zoho_takes_is_not_refused(criteria: Json) -> None:
    assert theirs(criteria) is None
    assert ours(criteria) == []


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["${EMPTY}", "2024-01-01", "2024-01-01T00:00:00Z", "12", "", "x" * 300])
    | INSTANTS
    | st.text(max_size=5).filter(lambda text: not text.startswith("${")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
any_leaf = st.fixed_dictionaries(
    {},
    optional={
        "field": st.fixed_dictionaries({}, optional={"api_name": anything, "id": st.just("1")})
        | st.sampled_from([*sorted(KINDS), "Description", "Nobody"]).map(
            lambda name: {"api_name": name}
        ),
        "comparator": st.sampled_from(COMPARATORS) | anything,
        "value": anything,
        "type": st.none(),
        "surplus": st.none(),
    },
)
any_field = st.sampled_from([*sorted(KINDS), "Description", "Nobody", "$converted", "Owner.email"])
any_criterion = st.builds(single, any_field, st.sampled_from(COMPARATORS), anything)
any_criteria = st.recursive(
    any_leaf | any_criterion | right_leaves() | anything,
    lambda parts: st.fixed_dictionaries(
        {"group": st.lists(parts, max_size=3) | anything},
        optional={"group_operator": st.sampled_from(["and", "or", "xor"]), "value": anything},
    ),
    max_leaves=5,
)


@hypothesis_settings(max_examples=600, deadline=None)
@given(any_criteria)
def test_what_zoho_refuses_is_refused_first(criteria: Any) -> None:
    code = theirs(criteria)

    if (
        code is not None
        and "$converted" not in str(criteria)
        and "Owner.email" not in str(criteria)
    ):
        assert ours(criteria), code


@hypothesis_settings(deadline=None)
@given(criteria=groups(right_leaves()), data=st.data())
def test_a_fault_is_found_at_its_place(criteria: Json, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(places(criteria)))
    faulty = copy.deepcopy(criteria)
    leaf: Any = faulty
    for key in place:
        leaf = leaf[key]
    field = leaf["field"]["api_name"]
    fault = data.draw(
        st.sampled_from(["field", "lines", "comparator", "unknown comparator", "value", "key"])
    )
    if fault == "field":
        leaf["field"]["api_name"] = "Nobody"
        expected: Path = (*place, "field", "api_name")
    elif fault == "lines":
        leaf["field"]["api_name"] = "Description"
        expected = (*place, "field", "api_name")
    elif fault == "comparator":
        leaf["comparator"], leaf["value"] = "between", ["2024-01-01", "2024-01-01"]
        leaf["field"]["api_name"] = "Company"
        expected = (*place, "comparator")
    elif fault == "unknown comparator":
        leaf["comparator"] = "is"
        expected = (*place, "comparator")
    elif fault == "key":
        del leaf["field"]
        expected = place
    elif isinstance(leaf["value"], list):
        leaf["value"][-1] = data.draw(KINDS[field][2])
        expected = (*place, "value", len(leaf["value"]) - 1)
    else:
        leaf["value"] = data.draw(KINDS[field][2])
        expected = (*place, "value")

    assert theirs(faulty) is not None
    assert expected in ours(faulty)


def nested(levels: int) -> Json:
    criteria = single("Company", "equal", "x")
    for _ in range(levels):
        criteria = {"group": [criteria], "group_operator": "and"}
    return criteria


@pytest.mark.parametrize(
    ("criteria", "words"),
    [
        (nested(24), None),
        (nested(25), "more than 25 levels deep"),
        (nested(5000), "more than 25 levels deep"),
        ({"group": [single("Company", "equal", "x")] * 25, "group_operator": "or"}, None),
        (
            {"group": [single("Company", "equal", "x")] * 26, "group_operator": "or"},
            "26 criteria exceed Zoho's limit of 25",
        ),
        ({**single("Company", "equal", "x"), "api_name": "Company"}, "both name the field"),
        (single("Company", "contains", "${EMPTY}"), "only with equal, not_equal, in, not_in"),
    ],
)
def test_limits_and_doubles_are_told(criteria: Json, words: str | None) -> None:
    problem = structure_problem(criteria)

    if words is None:
        assert problem is None
    else:
        assert problem is not None
        assert words in problem.message


def test_what_only_zoho_knows_is_left_to_zoho() -> None:
    for criteria in (
        single("Account_Name.Phone", "equal", 5),
        single("$converted", "equal", "perhaps"),
        single("id", "in", ["5725767000000401001"]),
        single("Lead_Number", "less_than", "00012"),
        single("Owner", "equal", "${CURRENTUSER}"),
    ):
        assert ours(criteria) == []
    untyped = {name: {"type": schema["type"]} for name, schema in PROPERTIES.items()}
    assert list(type_problems(single("Nobody", "equal", 5), untyped)) == []


# Through the command line


def in_group(criterion: Json) -> Json:
    return {"group": [single("Company", "not_equal", "x"), criterion], "group_operator": "or"}


@pytest.mark.parametrize(
    ("criterion", "place", "words"),
    [
        (
            single("Lead_Sorce", "equal", "Web"),
            "['field']['api_name']",
            "the catalog has no field `Lead_Sorce` (did you mean `Lead_Source`?",
        ),
        (
            single("No_of_Employees", "contains", "5"),
            "['comparator']",
            "'contains' is not a comparator for `No_of_Employees` (integer)",
        ),
        (
            single("No_of_Employees", "in", [5, 0.5]),
            "['value'][1]",
            "0.5 is not a whole number, as `No_of_Employees` (integer) requires",
        ),
        (
            single("Last_Activity_Time", "greater_than", "2024-01-01T00:00:00.000Z"),
            "['value']",
            "without fractions of a second",
        ),
        (single("Description", "equal", "x"), "['field']['api_name']", "multi-line text"),
    ],
)
def test_criteria_that_do_not_fit_fail_their_stream_before_a_job(
    tap: TapCommand, serve: Serve, criterion: Json, place: str, words: str
) -> None:
    organisation = Organisation.generate(seed=51, only=["Leads", "Accounts"])
    server = serve(organisation)
    options = {"Leads": {"criteria": in_group(criterion)}}

    catalog, log = tap.discover_with_log(
        server, modules=["Leads", "Accounts"], module_options=options
    )
    run = tap.run(server, catalog=catalog, module_options=options)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert run.by_id("Accounts") == organisation.truth("Accounts")
    assert [job.query["module"]["api_name"] for job in server.jobs] == ["Accounts"]
    where = f"in config['module_options']['Leads']['criteria']['group'][1]{place}"
    for said in (log, run.stderr):
        (line,) = [each for each in said.splitlines() if where in each]
        assert words in line


@pytest.mark.parametrize(
    ("criterion", "place"),
    [
        (single("Company", "equals", "x"), "['comparator']"),
        (single("Company", "in", "x"), "['value']"),
        (single("Last_Activity_Time", "between", ["2024-01-01T00:00:00Z"]), "['value']"),
        (single("Company", "equal", None), "['value']"),
        ({"field": "Company", "comparator": "equal", "value": "x"}, "['field']"),
        ({"group": [], "group_operator": "and"}, "['group']"),
        (
            {"group": [single("Company", "equal", "x")], "group_operator": "xor"},
            "['group_operator']",
        ),
    ],
)
def test_criteria_of_a_wrong_form_are_told_before_any_request(
    tap: TapCommand, serve: Serve, criterion: Json, place: str
) -> None:
    server = serve(Organisation.generate(seed=51, only=["Leads"]))

    run = tap.run(server, module_options={"Leads": {"criteria": in_group(criterion)}})

    assert run.exit_code != 0
    where = f"in config['module_options']['Leads']['criteria']['group'][1]{place}"
    assert where in run.stderr
    assert not server.requests


def test_numbers_with_a_point_reach_zoho(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=51, only=["Leads"], sizes={"Leads": 60}, awkward=0)
    criteria = single("Annual_Revenue", "greater_than", 4_000_000.5)

    run = tap.sync(serve(organisation), module_options={"Leads": {"criteria": criteria}})

    truth = organisation.truth("Leads")
    expected = {
        key for key, record in truth.items() if (record["Annual_Revenue"] or 0) > 4_000_000.5
    }
    assert run.by_id("Leads").keys() == expected
    assert 0 < len(expected) < len(truth)


def test_the_bookmarks_own_criterion_counts(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=51, only=["Leads"])
    server = serve(organisation)
    criteria = {"group": [single("Company", "not_equal", "x")] * 25, "group_operator": "and"}
    options = {"Leads": {"criteria": criteria}}

    first = tap.sync(server, module_options=options)
    second = tap.run(server, module_options=options, state=first.state)

    assert first.by_id("Leads").keys() == organisation.truth("Leads").keys()
    assert second.exit_code == ExitCode.STREAMS_FAILED
    assert "with the bookmark's own, they exceed Zoho's limit of 25" in second.stderr
    assert entry(tap.discover(server), "Leads")
    assert len(server.jobs) == 1
