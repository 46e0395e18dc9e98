"""The modules of a generated organisation: Zoho's usual ones and some that need care."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_zoho_crm.schema import CustomView, Field, Module

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {
    "Leads": 30,
    "Accounts": 20,
    "Contacts": 30,
    "Deals": 20,
    "Tasks": 10,
    "Events": 12,
    "Calls": 10,
    "Products": 10,
    "Campaigns": 5,
    "Cases": 10,
    "Quotes": 5,
    "Quoted_Items": 15,
    "DealHistory": 25,
    "Custom_Projects": 15,
}
"""Records of each module, unless set otherwise. Modules that are not here have none."""

_STAGES = ("Qualification", "Needs Analysis", "Closed Won", "Closed Lost", "Öffnung; Phase 2")
_COLOURS = ("Red", "Green", "Blue", "Off, White")


def _name(api_name: str) -> Field:
    return Field(api_name, "text", mandatory=True, length=120)


def _text(*names: str) -> list[Field]:
    return [Field(name, "text", length=255) for name in names]


def _lookup(api_name: str, module: str) -> Field:
    return Field(api_name, "lookup", lookup=module)


def _system() -> list[Field]:
    return [
        Field("Owner", "ownerlookup", mandatory=True),
        Field("Created_By", "ownerlookup"),
        Field("Modified_By", "ownerlookup"),
        Field("Created_Time", "datetime"),
        Field("Modified_Time", "datetime"),
        Field("Tag", "text"),
    ]


def _address(prefix: str) -> list[Field]:
    parts = ("Street", "City", "State", "Code", "Country")
    return [
        *_text(*(f"{prefix}_{part}" for part in parts)),
        # Metadata also lists the complete address; bulk read exports only its parts.
        Field(f"{prefix}_Address", "text", rejected=True),
        Field(f"{prefix}_Coordinates", "text", rejected=True),
    ]


def _records() -> list[Module]:
    """Yield the modules that a sales team works with."""
    return [
        Module.of(
            "Leads",
            _name("Last_Name"),
            *_text("First_Name", "Company", "Designation"),
            Field("Email", "email", length=100),
            Field("Phone", "phone", length=30),
            Field("Website", "website", length=450),
            Field("Lead_Source", "picklist", pick_list=("Web", "Trade Show", "null", "Partner")),
            Field("Lead_Status", "picklist", pick_list=("Attempted to Contact", "Junk Lead")),
            Field("Industry", "picklist", pick_list=("ASP", "Data/Telecom OEM", "=1+1")),
            Field("Interests", "multiselectpicklist", pick_list=_COLOURS, custom=True),
            Field("Annual_Revenue", "currency", length=16, decimal_place=2),
            Field("No_of_Employees", "integer", length=9),
            Field("Email_Opt_Out", "boolean"),
            Field("Rating_Score", "double", length=16, decimal_place=9, custom=True),
            Field("Discount", "percent", length=5, custom=True),
            Field("Legacy_Number", "bigint", length=19, custom=True),
            Field("Lead_Number", "autonumber", custom=True),
            Field("First_Visited_On", "date", custom=True),
            Field("Last_Activity_Time", "datetime"),
            Field("Days_Open", "formula", return_type="double", custom=True),
            Field("Description", "textarea", length=32000),
            *_address("Mailing"),
            Field("Record_Image", "profileimage"),
            Field("Contract", "fileupload", custom=True),
            Field("Photos", "imageupload", custom=True),
            Field("Reviewers", "multiuserlookup", custom=True),
            Field("Data_Processing_Basis_Details", "consent_lookup"),
            Field("Blood_Group", "text", custom=True, restricted=True),
            Field("Converted__s", "boolean"),
            Field("Converted_Date_Time", "datetime"),
            _lookup("Converted_Account", "Accounts"),
            _lookup("Converted_Contact", "Contacts"),
            _lookup("Converted_Deal", "Deals"),
            Field("$converted", "boolean", listed=False),
            *_system(),
            singular_label="Lead",
            plural_label="Leads",
            display_field="Last_Name",
        ),
        Module.of(
            "Accounts",
            _name("Account_Name"),
            Field("Phone", "phone", length=30),
            Field("Website", "website", length=450),
            Field("Account_Type", "picklist", pick_list=("Customer", "Partner", "None")),
            Field("Annual_Revenue", "currency", length=16, decimal_place=2),
            Field("Employees", "integer", length=9),
            _lookup("Parent_Account", "Accounts"),
            Field("Open_Deals", "rollup_summary", return_type="integer", custom=True),
            Field("Deal_Volume", "rollup_summary", return_type="currency", custom=True),
            Field("Description", "textarea", length=32000),
            *_address("Billing"),
            *_system(),
            display_field="Account_Name",
        ),
        Module.of(
            "Contacts",
            _name("Last_Name"),
            *_text("First_Name", "Department"),
            _lookup("Account_Name", "Accounts"),
            _lookup("Reporting_To", "Contacts"),
            Field("Assistant_User", "userlookup", custom=True),
            Field("Email", "email", length=100),
            Field("Phone", "phone", length=30),
            Field("Date_of_Birth", "date"),
            Field("Lead_Source", "picklist", pick_list=("Web", "Trade Show")),
            Field("Skills", "multiselectpicklist", pick_list=_COLOURS, custom=True),
            Field("Related_Projects", "multiselectlookup", custom=True),
            Field("Description", "textarea", length=32000),
            *_address("Mailing"),
            *_system(),
            display_field="Last_Name",
        ),
        Module.of(
            "Deals",
            _name("Deal_Name"),
            Field("Stage", "picklist", mandatory=True, pick_list=_STAGES),
            Field("Amount", "currency", length=16, decimal_place=2),
            Field("Probability", "percent", length=3),
            Field("Closing_Date", "date", mandatory=True),
            _lookup("Account_Name", "Accounts"),
            _lookup("Contact_Name", "Contacts"),
            _lookup("Campaign_Source", "Campaigns"),
            Field("Expected_Revenue", "formula", return_type="currency"),
            Field("Is_Large", "formula", return_type="boolean", custom=True),
            Field("Follow_Up_On", "formula", return_type="date", custom=True),
            Field("Reminder_At", "formula", return_type="datetime", custom=True),
            Field("Summary", "formula", return_type="text", custom=True),
            Field("Newest_Quote_At", "rollup_summary", return_type="datetime", custom=True),
            Field("Description", "textarea", length=32000),
            *_system(),
            display_field="Deal_Name",
        ),
        Module.of(
            "Products",
            _name("Product_Name"),
            *_text("Product_Code"),
            Field("Product_Active", "boolean"),
            Field("Unit_Price", "currency", length=16, decimal_place=2),
            Field("Commission_Rate", "currency", length=16, decimal_place=9),
            Field("Qty_in_Stock", "double", length=16, decimal_place=2),
            Field("Support_Expiry_Date", "date"),
            Field("Description", "textarea", length=32000),
            *_system(),
            display_field="Product_Name",
        ),
        Module.of(
            "Campaigns",
            _name("Campaign_Name"),
            Field("Type", "picklist", pick_list=("Webinar", "Email")),
            Field("Start_Date", "date"),
            Field("Budgeted_Cost", "currency", length=16, decimal_place=2),
            Field("Num_sent", "bigint", length=18),
            *_system(),
            display_field="Campaign_Name",
        ),
        Module.of(
            "Cases",
            _name("Subject"),
            Field("Case_Number", "autonumber"),
            Field("Status", "picklist", mandatory=True, pick_list=("New", "On Hold", "Closed")),
            _lookup("Account_Name", "Accounts"),
            Field("Email", "email", length=100),
            Field("Solution", "textarea", length=32000),
            *_system(),
            display_field="Subject",
        ),
    ]


def _activities() -> list[Module]:
    return [
        Module.of(
            "Tasks",
            _name("Subject"),
            Field("Due_Date", "date"),
            Field("Status", "picklist", pick_list=("Not Started", "Completed")),
            _lookup("Who_Id", "Contacts"),
            _lookup("What_Id", "Deals"),
            Field("Closed_Time", "datetime"),
            Field("Description", "textarea", length=32000),
            *_system(),
            display_field="Subject",
        ),
        Module.of(
            "Events",
            _name("Event_Title"),
            Field("Start_DateTime", "datetime", mandatory=True),
            Field("End_DateTime", "datetime", mandatory=True),
            Field("All_day", "boolean"),
            Field("Venue", "text", length=255),
            _lookup("Who_Id", "Contacts"),
            Field("Description", "textarea", length=32000),
            *_system(),
            singular_label="Meeting",
            plural_label="Meetings",
            display_field="Event_Title",
        ),
        Module.of(
            "Calls",
            _name("Subject"),
            Field("Call_Type", "picklist", mandatory=True, pick_list=("Inbound", "Outbound")),
            Field("Call_Start_Time", "datetime"),
            Field("Call_Duration_in_seconds", "integer", length=9),
            _lookup("Who_Id", "Contacts"),
            *_system(),
            display_field="Subject",
        ),
    ]


def _unusual() -> list[Module]:
    """Yield modules that can be exported but need care."""
    return [
        Module.of(
            "Quotes",
            _name("Subject"),
            Field("Quoted_Items", "subform", lookup="Quoted_Items"),
            Field("Valid_Till", "date"),
            Field("Grand_Total", "formula", return_type="currency"),
            _lookup("Deal_Name", "Deals"),
            *_system(),
            display_field="Subject",
        ),
        Module.of(
            "Quoted_Items",
            _lookup("Parent_Id", "Quotes"),
            _lookup("Product_Name", "Products"),
            Field("Quantity", "double", length=16, decimal_place=2),
            Field("List_Price", "currency", length=16, decimal_place=2),
            Field("Sequence_Number", "integer", length=3),
            Field("Created_Time", "datetime"),
            Field("Modified_Time", "datetime"),
            generated_type="subform",
            parent_module="Quotes",
        ),
        Module.of(
            "DealHistory",
            _lookup("Deal_Name", "Deals"),
            Field("Stage", "picklist", pick_list=_STAGES),
            Field("Amount", "currency", length=16, decimal_place=2),
            Field("Stage_Duration_Calendar_Days", "integer", length=9),
            Field("Last_Modified_Time", "datetime"),
            Field("Modified_By", "ownerlookup"),
        ),
        Module.of(
            "Custom_Projects",
            Field(
                "Name", "text", "Project Name", mandatory=True, length=120, metadata={"length": ...}
            ),
            Field("No_Json_Type", "text", metadata={"json_type": None, "view_type": None}),
            Field("Odd_Formula", "formula", metadata={"formula": None, "length": ...}),
            Field("Missing_Formula", "formula", metadata={"formula": ..., "rollup_summary": None}),
            Field("Newer_Than_This_Tap", "hologram", metadata={"json_type": "jsonobject"}),
            Field("Bare", "text", metadata=dict.fromkeys(_ALMOST_ALL_KEYS, ...)),
            Field("Hidden_Field", "text", visible=False, custom=True),
            Field("Address", "text", rejected=True),
            Field("Coordinates", "text", rejected=True),
            Field("nearby_distance__s", "double", rejected=True),
            Field("Mixed_Case__c", "boolean", custom=True),
            Field("Count", "rollup_summary", return_type="bigint"),
            Field("Big_Number", "bigint", length=19, metadata={"json_type": "string"}),
            Field("Start", "datetime", custom=True),
            *_system(),
            generated_type="custom",
            singular_label="Project",
            plural_label="Projects",
            display_field="Name",
        ),
        Module.of(
            "Contact_Projects",
            _lookup("Contact", "Contacts"),
            _lookup("Project", "Custom_Projects"),
            *_system(),
            generated_type="linking",
            bulk_error="MODULE_NOT_SUPPORTED",
        ),
    ]


_ALMOST_ALL_KEYS = (
    "json_type",
    "length",
    "decimal_place",
    "visible",
    "view_type",
    "custom_field",
    "virtual_field",
    "pick_list_values",
    "lookup",
    "formula",
    "rollup_summary",
    "currency",
    "system_mandatory",
    "field_label",
    "display_label",
)


def _refused() -> list[Module]:
    """Yield modules that Zoho lists and then refuses, each in a different way."""
    return [
        Module.of(
            "Notes",
            _name("Note_Title"),
            Field("Note_Content", "textarea"),
            _lookup("Parent_Id", "Leads"),
            *_system(),
            bulk_error="MODULE_NOT_SUPPORTED",
        ),
        Module.of(
            "Attachments",
            _name("File_Name"),
            Field("Size", "integer"),
            _lookup("Parent_Id", "Contacts"),
            *_system(),
            bulk_error="MODULE_NOT_SUPPORTED",
        ),
        Module("CTI_Entry", fields_error="empty", bulk_error="MODULE_NOT_SUPPORTED"),
        Module("Email_Analytics", fields_error="INVALID_MODULE", bulk_error="MODULE_NOT_SUPPORTED"),
        Module(
            "Functions__s", fields_error="FEATURE_NOT_ENABLED", bulk_error="MODULE_NOT_SUPPORTED"
        ),
        Module("Secret_Payroll", fields_error="NO_PERMISSION", bulk_error="NO_PERMISSION"),
        Module(
            "Visits",
            api_supported=False,
            fields_error="INVALID_MODULE",
            bulk_error="MODULE_NOT_SUPPORTED",
        ),
        Module(
            "Web_Tab",
            api_supported=False,
            generated_type="web",
            fields_error="INVALID_MODULE",
            bulk_error="MODULE_NOT_SUPPORTED",
        ),
        Module.of(
            # Metadata shows nothing unusual; only bulk read refuses the module.
            "Locking_Information__s",
            _name("Name"),
            *_system(),
            visible=False,
            bulk_error="MODULE_NOT_SUPPORTED",
        ),
    ]


def modules(new_id: Callable[[], str]) -> dict[str, Module]:
    """Return all modules of a generated organisation by API name, without records."""
    made = {
        module.api_name: module
        for module in [*_records(), *_activities(), *_unusual(), *_refused()]
    }
    for module in made.values():
        module.custom_views.append(
            CustomView(id=new_id(), name=f"All {module.api_name}", system_name="ALLVIEWS")
        )
    made["Leads"].custom_views += [
        CustomView(
            id=new_id(), name="Converted Leads", system_name="CONVERTED", criteria=_CONVERTED
        ),
        CustomView(id=new_id(), name="Web, with an e-mail", criteria=_WEB_WITH_EMAIL),
    ]
    return made


_CONVERTED = {"field": {"api_name": "$converted"}, "comparator": "equal", "value": True}
_WEB_WITH_EMAIL = {
    "group_operator": "and",
    "group": [
        {"field": {"api_name": "Lead_Source"}, "comparator": "equal", "value": "Web"},
        {"field": {"api_name": "Email"}, "comparator": "not_equal", "value": "${EMPTY}"},
    ],
}
