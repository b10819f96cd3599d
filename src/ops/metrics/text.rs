//! Writes metrics in the text form that Prometheus reads (version 0.0.4).
//!
//! A few lines of our own rather than a registry: the counts are kept where they arise, and a page
//! is made of them only when somebody asks.

use std::fmt::Write as _;

use crate::switch::histogram::Reading;

use super::{Metric, MetricKind};

/// Media type of a page.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Nanoseconds in a second.
pub const NANOSECONDS: f64 = 1e9;

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// Where the rows of one metric go.
pub struct Family<'a> {
    text: &'a mut String,
    metric: Metric,
}

impl Page {
    /// Begins a metric.
    pub fn family(&mut self, metric: Metric) -> Family<'_> {
        let Metric { name, help, .. } = metric;
        let kind = metric.kind.name();
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family {
            text: &mut self.text,
            metric,
        }
    }

    /// A metric without labels.
    pub fn plain(&mut self, metric: Metric, value: u64) {
        self.family(metric).row(&[], value);
    }

    /// The page.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// A row; the values stand in the order of the metric's labels.
    pub fn row(&mut self, values: &[&str], value: u64) {
        let labels = self.labels(values, None);
        let _ = writeln!(self.text, "{}{labels} {value}", self.metric.name);
    }

    /// The rows of one histogram; `unit` is how much of what was counted makes one.
    pub fn histogram(&mut self, values: &[&str], reading: &Reading, unit: f64) {
        debug_assert_eq!(self.metric.kind, MetricKind::Histogram);
        let name = self.metric.name;
        for (bound, count) in reading.octaves() {
            let bound = (bound as f64 / unit).to_string();
            let labels = self.labels(values, Some(&bound));
            let _ = writeln!(self.text, "{name}_bucket{labels} {count}");
        }
        let count = reading.count();
        let labels = self.labels(values, Some("+Inf"));
        let _ = writeln!(self.text, "{name}_bucket{labels} {count}");
        let labels = self.labels(values, None);
        let sum = reading.sum() as f64 / unit;
        let _ = writeln!(self.text, "{name}_sum{labels} {sum}");
        let _ = writeln!(self.text, "{name}_count{labels} {count}");
    }

    fn labels(&self, values: &[&str], bound: Option<&str>) -> String {
        debug_assert_eq!(values.len(), self.metric.labels.len());
        let own = self
            .metric
            .labels
            .iter()
            .copied()
            .zip(values.iter().copied());
        let rows: Vec<String> = own
            .chain(bound.map(|bound| ("le", bound)))
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
            .collect();
        if rows.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", rows.join(","))
        }
    }
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::metrics::{CONNECTIONS_OPEN, METRICS, QUEUE_JOBS, STEP_SECONDS};
    use crate::switch::histogram::Times;

    #[test]
    fn a_page_says_help_kind_and_rows() {
        let mut page = Page::default();
        page.plain(QUEUE_JOBS, 3);
        page.family(CONNECTIONS_OPEN).row(&["a \"door\"\\\n"], 2);
        assert_eq!(
            page.into_text(),
            "# HELP cardswitch_queue_jobs Jobs that wait for the single writer.\n\
             # TYPE cardswitch_queue_jobs gauge\n\
             cardswitch_queue_jobs 3\n\
             # HELP cardswitch_connections_open Connections that are open.\n\
             # TYPE cardswitch_connections_open gauge\n\
             cardswitch_connections_open{link=\"a \\\"door\\\"\\\\\\n\"} 2\n"
        );
    }

    #[test]
    fn a_histogram_only_grows_from_bucket_to_bucket_and_ends_with_all() {
        let (times, mut reading) = (Times::default(), Reading::default());
        for ns in [100, 256, 300, 5_000] {
            times.note(ns);
        }
        times.read(&mut reading);
        let mut page = Page::default();
        let mut family = page.family(STEP_SECONDS);
        family.histogram(&["door", "decode"], &reading, NANOSECONDS);
        let text = page.into_text();
        let rows: Vec<(&str, &str)> = text
            .lines()
            .skip(2)
            .map(|row| row.trim_start_matches("cardswitch_step_seconds"))
            .map(|row| row.rsplit_once(' ').unwrap())
            .collect();
        let bucket =
            |bound: &str| format!("_bucket{{link=\"door\",step=\"decode\",le=\"{bound}\"}}");
        let bounds = [
            "0.000000256",
            "0.000000512",
            "0.000001024",
            "0.000002048",
            "0.000004096",
        ];
        for (row, bound) in rows.iter().zip(bounds) {
            assert_eq!(row.0, bucket(bound));
        }
        let counts: Vec<&str> = rows.iter().map(|row| row.1).collect();
        assert_eq!(counts[..7], ["2", "3", "3", "3", "3", "4", "4"]);
        assert_eq!(counts[28..], ["4", "0.000005656", "4"]);
        assert_eq!(rows[28].0, bucket("+Inf"));
    }

    #[test]
    fn every_metric_is_named_after_its_kind() {
        for metric in METRICS {
            let is_total = metric.name.ends_with("_total");
            assert_eq!(
                is_total,
                metric.kind == MetricKind::Counter,
                "{}",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }
}
