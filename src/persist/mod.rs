//! The room `persist`.
