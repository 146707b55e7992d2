//! The room `util`.
