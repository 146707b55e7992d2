//! The room `db`.

pub mod expiry;
