//! The room `rdb`.
