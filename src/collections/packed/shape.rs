//! What a table's elements are made of, decided when it is compiled.

/// The kind of value that stands beside each key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueShape {
    /// No value: members of a set.
    None,
    /// A value of so many bytes for every key, changed in place: a sorted set's index.
    Fixed(usize),
    /// A value of any length, and a mark that means what the owner likes: fields of a hash.
    Any,
}

/// Chooses a [`ValueShape`] for a type of table.
pub trait Shape: Send + Sync + 'static {
    const VALUE: ValueShape;
}

/// Keys alone.
pub struct Keys;
impl Shape for Keys {
    const VALUE: ValueShape = ValueShape::None;
}

/// Keys with eight bytes each.
pub struct KeysWithWords;
impl Shape for KeysWithWords {
    const VALUE: ValueShape = ValueShape::Fixed(8);
}

/// Keys with values of any length.
pub struct KeysWithValues;
impl Shape for KeysWithValues {
    const VALUE: ValueShape = ValueShape::Any;
}

/// One element, as it lies in the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    pub key: &'a [u8],
    /// Empty where the shape has no values.
    pub value: &'a [u8],
    /// What the owner said when it was stored; only [`ValueShape::Any`] keeps it.
    pub marked: bool,
}

impl std::fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.marked { "!" } else { "" };
        write!(f, "\"{}\"{mark}: \"{}\"", self.key.escape_ascii(), self.value.escape_ascii())
    }
}
