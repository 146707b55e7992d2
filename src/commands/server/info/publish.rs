//! What other threads see of the rows: those with a series are copied to where they read.

use super::row::Row;
use super::{Facts, SECTIONS};
use crate::exec::ctx::Host;
use crate::exec::instance::Instance;
use crate::observe::metrics::Series;

/// Every row of every section, with the section's name.
pub fn rows() -> impl Iterator<Item = (&'static str, &'static Row)> {
    SECTIONS.iter().flat_map(|section| section.rows.iter().map(|row| (section.name, row)))
}

/// The series of the rows.
pub fn series() -> Vec<Series> {
    rows().filter_map(|(_, row)| row.as_series()).collect()
}

/// Copies to where other threads read: rows that have a series, and what is known of each database.
pub fn publish(inst: &mut Instance, host: &dyn Host) {
    let memory = inst.recent_memory_report(host);
    let facts = Facts::new(inst, None, host, &memory);
    let metrics = &facts.inst.metrics;
    for (i, (_, row)) in rows().filter(|(_, row)| row.as_series().is_some()).enumerate() {
        metrics.publish(i, row.value(&facts).number().unwrap_or(0.0));
    }
    for (i, db) in metrics.dbs.iter().enumerate() {
        let info = facts.inst.keyspace.info(i, facts.inst.now_ms);
        db.keys.set(info.keys as u64);
        db.expiring.set(info.expires as u64);
        db.avg_ttl_ms.set(info.average_ttl_ms.max(0) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::server::info::row::Kind;
    use std::collections::HashSet;

    #[test]
    fn names_are_taken_once_and_explained() {
        let mut fields = HashSet::new();
        for (section, row) in rows() {
            for field in row.fields() {
                assert!(fields.insert((section, field.clone())), "{section}: {field} is there twice");
            }
        }
        let all = series();
        assert!(!all.is_empty());
        let mut names = HashSet::new();
        for series in all {
            assert!(names.insert(series.name), "{} is there twice", series.name);
            let known = series.name.starts_with("redis_") || series.name.starts_with("kvstash_");
            assert!(known && !series.help.is_empty() && series.scale > 0.0, "{}", series.name);
        }
    }

    #[test]
    fn what_is_not_there_has_no_series() {
        for (section, row) in rows().filter(|(_, row)| row.kind == Kind::Absent) {
            assert!(row.as_series().is_none(), "{section}: {}", row.info);
        }
    }
}
