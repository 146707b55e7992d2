//! The room `resp`.
