//! The room `cow`.
#![allow(unsafe_code)] // one of the four rooms where `unsafe` may live
