//! The picture: rates of the closed loops, latencies of the open loops.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use plotters::coord::ranged1d::{IntoSegmentedCoord, SegmentValue};
use plotters::prelude::*;

use super::peers::PeerKind;
use super::table::{Latencies, Measured, in_target};

const SIZE: (u32, u32) = (1_100, 900);

/// Writes `corridor.svg` into the target folder.
pub(crate) fn write_svg(measured: &Measured) -> Result<PathBuf, Box<dyn Error>> {
    let path = in_target("corridor.svg");
    let root = SVGBackend::new(&path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (upper, lower) = root.split_vertically(SIZE.1 / 2);
    rates(measured, &upper)?;
    latencies(measured, &lower)?;
    root.present()?;
    drop((upper, lower, root));
    Ok(path)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Messages a second of every server on every closed loop; the scale is logarithmic.
fn rates(measured: &Measured, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    let servers: Vec<PeerKind> = measured.servers().into_iter().collect();
    let rows: Vec<(String, PeerKind, u64)> = servers
        .iter()
        .flat_map(|kind| {
            let rates = measured.rates(*kind).into_iter();
            rates.map(|(shape, rate)| (shape.to_string(), *kind, rate))
        })
        .collect();
    let mut shapes: Vec<&str> = Vec::new();
    for (shape, _, _) in &rows {
        if !shapes.contains(&shape.as_str()) {
            shapes.push(shape);
        }
    }
    let most = rows.iter().map(|row| row.2).max().unwrap_or_default();
    if shapes.is_empty() {
        return Ok(());
    }
    let mut chart = ChartBuilder::on(area)
        .caption(
            "closed loops: messages a second (median)",
            ("sans-serif", 22),
        )
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(80)
        .build_cartesian_2d(
            shapes.as_slice().into_segmented(),
            (100_f64..to_float(most) * 2.0).log_scale(),
        )?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_desc("connections x window")
        .draw()?;
    for (place, kind) in servers.iter().enumerate() {
        let colour = Palette99::pick(place).to_rgba();
        let points = rows.iter().filter(|row| row.1 == *kind);
        let points = points.map(|(shape, _, rate)| {
            let found = shapes.iter().find(|it| *it == shape);
            (
                SegmentValue::CenterOf(found.unwrap_or(&shapes[0])),
                to_float(*rate),
            )
        });
        chart
            .draw_series(points.map(|point| Circle::new(point, 6, colour.filled())))?
            .label(kind.name())
            .legend(move |at| Circle::new(at, 6, colour.filled()));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    Ok(())
}

/// Median and 99th percentile of every server by what the open loops ask for; both scales are
/// logarithmic.
fn latencies(measured: &Measured, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    let servers = measured.servers();
    let rows: BTreeMap<PeerKind, Vec<Latencies>> = servers
        .into_iter()
        .map(|kind| (kind, measured.latencies(kind)))
        .collect();
    let all = || rows.values().flatten();
    let asked = |it: &Latencies| it.asked;
    let (Some(first), Some(last)) = (all().map(asked).min(), all().map(asked).max()) else {
        return Ok(());
    };
    let best = all().map(|it| it.p50_ns).min().unwrap_or_default();
    let worst = all().map(|it| it.p99_ns).max().unwrap_or_default();
    let mut chart = ChartBuilder::on(area)
        .caption(
            "open loops: latency in microseconds, p50 and p99 (thin)",
            ("sans-serif", 22),
        )
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(80)
        .build_cartesian_2d(
            (to_float(first) * 0.8..to_float(last) * 1.25).log_scale(),
            (to_float(best) / 2_000.0..to_float(worst) / 500.0).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("messages asked for a second")
        .draw()?;
    for (place, (kind, points)) in rows.iter().enumerate() {
        let colour = Palette99::pick(place).to_rgba();
        let line = |of: fn(&Latencies) -> u64| {
            let points = points.iter();
            points.map(move |point| (to_float(point.asked), to_float(of(point)) / 1_000.0))
        };
        let (bold, thin) = (colour.stroke_width(3), colour.stroke_width(1));
        chart
            .draw_series(LineSeries::new(line(|it| it.p50_ns), bold).point_size(4))?
            .label(kind.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], bold));
        chart.draw_series(LineSeries::new(line(|it| it.p99_ns), thin).point_size(3))?;
    }
    chart
        .configure_series_labels()
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    Ok(())
}

fn to_float(value: u64) -> f64 {
    // A picture needs no more than 32 bits of it.
    f64::from(u32::try_from(value).unwrap_or(u32::MAX))
}
