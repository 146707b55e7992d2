//! What the server says about itself: the log, the metrics, the latency monitor, the crash report.
//!
//! # What this is
//!
//! The one room that names `slog` and `prometheus`. Others log through [`log::Logger`] with a fixed message and
//! values under the names in [`keys`]. What the server counts is copied to [`metrics::Metrics`].
//!
//! # What it never does
//!
//! It never makes the hot path wait: a counter is one relaxed load and one store by its only writer, a log line
//! below the level costs one load. It never asks anything of the server: those who know put their facts here, and
//! whoever exports reads them from any thread, also while the main loop is stuck.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | [`crash`] | the report on a panic |
//! | [`export`] | the metrics in Prometheus's text format |
//! | [`keys`] | the names under which values are logged |
//! | [`latency`] | the latency monitor behind `LATENCY` |
//! | [`log`] | levels, line formats, outputs |
//! | [`metrics`] | counters, gauges, histograms, and what other threads see of the server's numbers |
//!
//! # Read first
//!
//! [`metrics`].

pub mod crash;
pub mod export;
pub mod keys;
pub mod latency;
pub mod log;
pub mod metrics;
