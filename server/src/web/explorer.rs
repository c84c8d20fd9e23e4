//! The explorer: a page for every operation of the table, with a control for every parameter.
//!
//! Everything readable is rendered here, from [`wire::spec`]; the scripts find the controls by
//! their `data-` attributes and add signing, sending and sample code.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use wire::code::{Code, explain};
use wire::spec::{
    self, COMMON_PARAMETERS, Field, FieldKind, Kind, METADATA_FIELDS, OPERATIONS, Operation,
    Parameter, USER_DATA_LIMITS,
};

use super::{assets, page};

/// Longest text that gets an input of one line; a longer one gets an area.
const ONE_LINE: usize = 1024;

#[derive(Template)]
#[template(path = "explorer.html")]
struct IndexTemplate<'a> {
    assets: &'static str,
    groups: [Group; 2],
    /// Of the operation shown; none on the index.
    current: &'a str,
    unknown: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "explorer_operation.html")]
struct OperationTemplate<'a> {
    assets: &'static str,
    groups: [Group; 2],
    current: &'a str,
    operation: &'static Operation,
    version: &'static str,
    controls: Vec<Control>,
    metadata: Vec<Control>,
    user_data: Vec<Control>,
    reply: Vec<ReplyRow>,
    errors: Vec<ErrorRow>,
}

/// A branch of the tree.
struct Group {
    title: &'static str,
    operations: Vec<&'static Operation>,
}

/// A form control for a parameter, or for a field of a structured one.
struct Control {
    name: &'static str,
    /// Which control, for the template and the scripts.
    kind: ControlKind,
    required: bool,
    ours: bool,
    example: String,
    doc: &'static str,
    limits: String,
    type_name: &'static str,
    /// What can be chosen.
    values: &'static [&'static str],
    /// Most rows of a list; 0 where there are none.
    items: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ControlKind {
    Line,
    Area,
    Integer,
    Boolean,
    One,
    Some,
    List,
    Urls,
    Json,
    Metadata,
    UserData,
}

impl ControlKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Area => "area",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::One => "one",
            Self::Some => "some",
            Self::List => "list",
            Self::Urls => "urls",
            Self::Json => "json",
            Self::Metadata => "metadata",
            Self::UserData => "userdata",
        }
    }

    /// Several inputs under one name.
    fn is_group(self) -> bool {
        matches!(self, Self::Some | Self::List | Self::Urls | Self::Metadata | Self::UserData)
    }

    fn has_rows(self) -> bool {
        matches!(self, Self::List | Self::Urls)
    }
}

impl Control {
    fn of(parameter: &'static Parameter) -> Self {
        let (values, items): (&'static [&'static str], usize) = match parameter.kind {
            Kind::OneOf(values) | Kind::SomeOf(values) => (values, 0),
            Kind::List { items, .. } | Kind::Urls { items } => (&[], items),
            Kind::Text { .. }
            | Kind::Word { .. }
            | Kind::Integer { .. }
            | Kind::Boolean
            | Kind::Json { .. }
            | Kind::Time
            | Kind::Url { .. } => (&[], 0),
        };
        Self {
            name: parameter.name,
            kind: control_kind(parameter),
            required: parameter.required,
            ours: parameter.ours,
            example: parameter.example.to_owned(),
            doc: parameter.doc,
            limits: parameter.kind.limits(),
            type_name: parameter.kind.type_name(),
            values,
            items,
        }
    }

    /// A field of a metadata object: a list is a text there, as it is on the wire.
    fn of_field(parameter: &'static Parameter) -> Self {
        let control = Self::of(parameter);
        let kind = match control.kind {
            ControlKind::List | ControlKind::Some | ControlKind::Urls => ControlKind::Line,
            other => other,
        };
        Self { kind, ..control }
    }

    fn example_value(&self) -> Option<&str> {
        Some(self.example.as_str()).filter(|example| !example.is_empty())
    }
}

/// The two structured parameters are known by name; everything else by its kind.
fn control_kind(parameter: &Parameter) -> ControlKind {
    match parameter.kind {
        Kind::Text { max } if max > ONE_LINE => ControlKind::Area,
        Kind::Text { .. } | Kind::Word { .. } | Kind::Time | Kind::Url { .. } => ControlKind::Line,
        Kind::Integer { .. } => ControlKind::Integer,
        Kind::Boolean => ControlKind::Boolean,
        Kind::OneOf(_) => ControlKind::One,
        Kind::SomeOf(_) => ControlKind::Some,
        Kind::List { .. } => ControlKind::List,
        Kind::Urls { .. } => ControlKind::Urls,
        Kind::Json { .. } => match parameter.name {
            "UploadMetadatas" => ControlKind::Metadata,
            "UserData" => ControlKind::UserData,
            _ => ControlKind::Json,
        },
    }
}

/// The parts of `UserData` (contract §13.4).
fn user_data_controls() -> Vec<Control> {
    let part = |name, kind, example: &str, doc, limits| Control {
        name,
        kind,
        required: false,
        ours: false,
        example: example.to_owned(),
        doc,
        limits,
        type_name: "String",
        values: &[],
        items: 0,
    };
    vec![
        part(
            "CallbackURL",
            ControlKind::Line,
            "http://callback.example/events",
            "Where events of these media go instead of the account's URL.",
            format!("at most {} bytes", USER_DATA_LIMITS.callback_url),
        ),
        part(
            "Extend",
            ControlKind::Area,
            "{\"localId\":\"42\"}",
            "Comes back in events: a JSON object, or any text.",
            format!("at most {} bytes", USER_DATA_LIMITS.extend),
        ),
    ]
}

/// A field of the reply, with its place in the nesting.
struct ReplyRow {
    /// 0 for the outermost.
    depth: usize,
    name: String,
    type_name: &'static str,
    optional: bool,
    ours: bool,
    doc: &'static str,
}

fn reply_rows(fields: &'static [Field], depth: usize, rows: &mut Vec<ReplyRow>) {
    for field in fields {
        let (type_name, inner): (_, &'static [Field]) = match &field.kind {
            FieldKind::String => ("String", &[]),
            FieldKind::Long => ("Long", &[]),
            FieldKind::Double => ("Double", &[]),
            FieldKind::Boolean => ("Boolean", &[]),
            FieldKind::Object(inner) => ("Object", inner),
            FieldKind::FlatStrings => ("array of String", &[]),
            FieldKind::Flat(inner) => ("array of Object", inner),
            FieldKind::Wrapped(_, inner) => ("array of Object", inner),
        };
        let name = match &field.kind {
            FieldKind::Wrapped(item, _) => format!("{}.{item}", field.name),
            FieldKind::String
            | FieldKind::Long
            | FieldKind::Double
            | FieldKind::Boolean
            | FieldKind::Object(_)
            | FieldKind::FlatStrings
            | FieldKind::Flat(_) => field.name.to_owned(),
        };
        let (optional, ours, doc) = (field.optional, field.ours, field.doc);
        rows.push(ReplyRow { depth, name, type_name, optional, ours, doc });
        reply_rows(inner, depth + 1, rows);
    }
}

/// An error of the operation, or a family of them with a page for each member.
struct ErrorRow {
    code: &'static str,
    status: u16,
    cause: String,
    /// Texts of codes that `/errors/…` explains.
    pages: Vec<String>,
}

fn error_row(operation: &Operation, code: Code) -> ErrorRow {
    let text = code.as_str();
    let pages: Vec<String> = if code.is_family() {
        let members = operation
            .parameters
            .iter()
            .filter(|parameter| parameter.required || code != Code::Missing);
        members.map(|parameter| text.replace("{Param}", parameter.name)).collect()
    } else {
        vec![text.to_owned()]
    };
    let explanation = pages.first().and_then(|page| explain(page));
    let cause = match &explanation {
        Some(_) if code.is_family() => family_cause(code).to_owned(),
        Some(explanation) => explanation.cause.clone(),
        None => String::new(),
    };
    ErrorRow { code: text, status: code.status(), cause, pages }
}

/// The cause of a family, without the name of a member.
fn family_cause(code: Code) -> &'static str {
    if code == Code::Missing {
        "A required parameter is missing or empty."
    } else {
        "A parameter breaks one of its limits."
    }
}

fn groups() -> [Group; 2] {
    let of = |ours: bool| OPERATIONS.iter().filter(|operation| operation.ours == ours).collect();
    [
        Group { title: "ApsaraVideo VOD", operations: of(false) },
        Group { title: "Additions of Haulage", operations: of(true) },
    ]
}

/// `/explorer`: all operations.
pub fn index() -> Response {
    let template =
        IndexTemplate { assets: assets::version(), groups: groups(), current: "", unknown: None };
    page(StatusCode::OK, &template)
}

/// `/explorer/{Action}`; for an unknown action the index, with 404.
pub fn operation(action: &str) -> Response {
    let Some(operation) = spec::operation(action) else {
        let template = IndexTemplate {
            assets: assets::version(),
            groups: groups(),
            current: "",
            unknown: Some(action),
        };
        return page(StatusCode::NOT_FOUND, &template);
    };
    // Signing sends the others; this one is for people to fill in.
    let common = COMMON_PARAMETERS.iter().filter(|parameter| parameter.ours);
    let mut reply = Vec::new();
    reply_rows(operation.reply, 0, &mut reply);
    let template = OperationTemplate {
        assets: assets::version(),
        groups: groups(),
        current: operation.action,
        operation,
        version: spec::API_VERSION,
        controls: operation.parameters.iter().chain(common).map(Control::of).collect(),
        metadata: METADATA_FIELDS.iter().map(Control::of_field).collect(),
        user_data: user_data_controls(),
        reply,
        errors: operation.errors.iter().map(|code| error_row(operation, *code)).collect(),
    };
    page(StatusCode::OK, &template)
}
