//! How a row of the table is written.

use super::{Field, FieldKind, Kind, Parameter};

/// A parameter of the cloud's API that may be left out.
pub(super) const fn optional(
    name: &'static str,
    kind: Kind,
    example: &'static str,
    doc: &'static str,
) -> Parameter {
    Parameter { name, kind, required: false, example, doc, ours: false }
}

pub(super) const fn required(parameter: Parameter) -> Parameter {
    Parameter { required: true, ..parameter }
}

pub(super) const fn our_parameter(parameter: Parameter) -> Parameter {
    Parameter { ours: true, ..parameter }
}

/// A field that every reply has.
pub(super) const fn always(name: &'static str, kind: FieldKind, doc: &'static str) -> Field {
    Field { name, kind, optional: false, doc, ours: false }
}

pub(super) const fn sometimes(name: &'static str, kind: FieldKind, doc: &'static str) -> Field {
    Field { name, kind, optional: true, doc, ours: false }
}

pub(super) const fn our_field(name: &'static str, kind: FieldKind, doc: &'static str) -> Field {
    Field { name, kind, optional: true, doc, ours: true }
}
