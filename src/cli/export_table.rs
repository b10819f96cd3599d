//! The tables of an export and how their rows are written: JSON lines, comma-separated values,
//! Parquet. Rows are written as they come; Parquet keeps those of one group in memory.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use parquet::basic::Compression;
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Map, Value};

/// Rows of one group of a Parquet file: bounds the memory of an export.
const GROUP_ROWS: usize = 65_536;
/// Rows of a column that are encoded in one step.
const STEP_ROWS: usize = 512;
/// Bytes of a Parquet page before it is compressed, which is one step too.
const PAGE_BYTES: usize = 64 * 1_024;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number.
    Number,
    /// Milliseconds since 1970, UTC.
    Time,
    /// UTF-8.
    Text,
}

/// A column: its name and what it holds. Only `sequence` and `at` are in every row.
pub(super) type Column = (&'static str, Kind);

/// One row for each decision.
pub(super) const DECISIONS: &[Column] = &[
    ("sequence", Kind::Number),
    ("at", Kind::Time),
    ("transaction", Kind::Number),
    ("account", Kind::Number),
    ("card", Kind::Number),
    ("number", Kind::Text),
    ("mti", Kind::Text),
    ("purpose", Kind::Text),
    ("outcome", Kind::Text),
    ("reason", Kind::Text),
    ("code", Kind::Text),
    ("approval", Kind::Text),
    ("amount_minor", Kind::Number),
    ("currency", Kind::Text),
    ("mcc", Kind::Text),
    ("acceptor", Kind::Text),
    ("merchant", Kind::Text),
    ("terminal", Kind::Text),
    ("stan", Kind::Text),
    ("rrn", Kind::Text),
    ("evidence", Kind::Text),
];

/// One row for each side of a movement.
pub(super) const POSTINGS: &[Column] = &[
    ("sequence", Kind::Number),
    ("at", Kind::Time),
    ("transaction", Kind::Number),
    ("operation", Kind::Text),
    ("ledger", Kind::Text),
    ("account", Kind::Number),
    ("purse", Kind::Number),
    ("currency", Kind::Text),
    ("minor", Kind::Number),
];

/// A value of a row.
pub(super) enum Cell<'a> {
    /// Nothing.
    None,
    /// A number or a time.
    Number(i64),
    /// A text.
    Text(&'a str),
}

impl<'a> Cell<'a> {
    /// A number that may be missing.
    pub(super) fn number(value: Option<impl Into<i64>>) -> Cell<'a> {
        value.map_or(Cell::None, |value| Cell::Number(value.into()))
    }

    /// A sequence that may be missing.
    pub(super) fn sequence(value: Option<u64>) -> Cell<'a> {
        Cell::number(value.and_then(|value| i64::try_from(value).ok()))
    }

    /// A text that may be missing.
    pub(super) fn text(value: Option<&'a str>) -> Cell<'a> {
        value.map_or(Cell::None, Cell::Text)
    }
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a line of names (RFC 4180).
    Csv,
    /// Apache Parquet, compressed with Snappy.
    Parquet,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::Csv => "csv",
            Format::Parquet => "parquet",
        }
    }
}

/// A table that is being written. Its file has another name until it is whole.
pub(super) struct Table {
    columns: &'static [Column],
    path: PathBuf,
    writer: Writer,
    rows: u64,
}

enum Writer {
    Lines(BufWriter<File>),
    Values(BufWriter<File>),
    Parquet(Box<Groups>),
}

impl Table {
    /// Begins a table in a folder.
    pub(super) fn begin(
        folder: &Path,
        name: &str,
        columns: &'static [Column],
        format: Format,
    ) -> io::Result<Table> {
        let path = folder.join(format!("{name}.{}", format.extension()));
        let file = File::create(unfinished(&path))?;
        let writer = match format {
            Format::Jsonl => Writer::Lines(BufWriter::new(file)),
            Format::Csv => {
                let mut file = BufWriter::new(file);
                let names: Vec<&str> = columns.iter().map(|column| column.0).collect();
                write!(file, "{}\r\n", names.join(","))?;
                Writer::Values(file)
            }
            Format::Parquet => {
                let groups = Groups::begin(file, name, columns).map_err(io::Error::other)?;
                Writer::Parquet(Box::new(groups))
            }
        };
        Ok(Table {
            columns,
            path,
            writer,
            rows: 0,
        })
    }

    /// Adds a row, one cell for each column.
    pub(super) fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows = self.rows.saturating_add(1);
        match &mut self.writer {
            Writer::Lines(file) => {
                let mut object = Map::new();
                for ((name, kind), cell) in self.columns.iter().zip(cells) {
                    let value = match cell {
                        Cell::None => continue,
                        Cell::Number(at) if *kind == Kind::Time => time(*at).into(),
                        Cell::Number(number) => Value::from(*number),
                        Cell::Text(text) => Value::from(*text),
                    };
                    object.insert((*name).to_owned(), value);
                }
                writeln!(file, "{}", Value::Object(object))
            }
            Writer::Values(file) => {
                for (place, ((_, kind), cell)) in self.columns.iter().zip(cells).enumerate() {
                    if place > 0 {
                        file.write_all(b",")?;
                    }
                    match cell {
                        Cell::None => {}
                        Cell::Number(at) if *kind == Kind::Time => write!(file, "{}", time(*at))?,
                        Cell::Number(number) => write!(file, "{number}")?,
                        Cell::Text(text) => file.write_all(quoted(text).as_bytes())?,
                    }
                }
                file.write_all(b"\r\n")
            }
            Writer::Parquet(groups) => groups.row(cells).map_err(io::Error::other),
        }
    }

    /// Completes the file and gives it its name; returns that and how many rows it has.
    pub(super) fn finish(self) -> io::Result<(PathBuf, u64)> {
        let file = match self.writer {
            Writer::Lines(file) | Writer::Values(file) => file.into_inner()?,
            Writer::Parquet(groups) => groups.finish().map_err(io::Error::other)?,
        };
        file.sync_all()?;
        fs::rename(unfinished(&self.path), &self.path)?;
        Ok((self.path, self.rows))
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn time(at_ms: i64) -> String {
    crate::domain::time::UnixMs(at_ms).to_string()
}

/// A value as RFC 4180 wants it.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// The values of one column of the group that is being filled.
enum Values {
    Numbers(Vec<i64>),
    Texts(Vec<ByteArray>),
}

/// A Parquet file, group by group.
struct Groups {
    file: SerializedFileWriter<File>,
    values: Vec<Values>,
    /// Which rows of each column have a value: 1, or 0.
    levels: Vec<Vec<i16>>,
}

impl Groups {
    fn begin(file: File, name: &str, columns: &[Column]) -> Result<Groups, ParquetError> {
        let rows: Vec<String> = columns
            .iter()
            .map(|(name, kind)| {
                let shape = match kind {
                    Kind::Number => format!("int64 {name}"),
                    Kind::Time => format!("int64 {name} (TIMESTAMP(MILLIS,true))"),
                    Kind::Text => format!("binary {name} (STRING)"),
                };
                format!("optional {shape};")
            })
            .collect();
        let schema = parse_message_type(&format!("message {name} {{ {} }}", rows.join(" ")))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_data_page_size_limit(PAGE_BYTES)
            .set_created_by(format!("cardswitch {}", env!("CARGO_PKG_VERSION")))
            .build();
        let values = columns.iter().map(|(_, kind)| match kind {
            Kind::Number | Kind::Time => Values::Numbers(Vec::new()),
            Kind::Text => Values::Texts(Vec::new()),
        });
        Ok(Groups {
            values: values.collect(),
            levels: columns.iter().map(|_| Vec::new()).collect(),
            file: SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?,
        })
    }

    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), ParquetError> {
        for ((values, levels), cell) in self.values.iter_mut().zip(&mut self.levels).zip(cells) {
            match (values, cell) {
                (Values::Numbers(values), Cell::Number(number)) => {
                    values.push(*number);
                    levels.push(1);
                }
                (Values::Texts(values), Cell::Text(text)) => {
                    values.push(ByteArray::from(*text));
                    levels.push(1);
                }
                _ => levels.push(0),
            }
        }
        let rows = self.levels.first().map_or(0, Vec::len);
        if rows >= GROUP_ROWS {
            self.write()
        } else {
            Ok(())
        }
    }

    /// Writes what was gathered as one group.
    fn write(&mut self) -> Result<(), ParquetError> {
        if self.levels.first().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for (values, levels) in self.values.iter_mut().zip(&mut self.levels) {
            let Some(mut column) = group.next_column()? else {
                return Err(ParquetError::General("a column too few".to_owned()));
            };
            match values {
                Values::Numbers(values) => {
                    write_slowly(column.typed::<Int64Type>(), values, levels)?;
                    values.clear();
                }
                Values::Texts(values) => {
                    write_slowly(column.typed::<ByteArrayType>(), values, levels)?;
                    values.clear();
                }
            }
            levels.clear();
            column.close()?;
        }
        group.close()?;
        Ok(())
    }

    fn finish(mut self) -> Result<File, ParquetError> {
        self.write()?;
        self.file.into_inner()
    }
}

/// Writes a column, and offers the processor to whoever waits for it between any two steps: a
/// whole column takes as long as many decisions.
fn write_slowly<T: DataType>(
    writer: &mut ColumnWriterImpl<'_, T>,
    mut values: &[T::T],
    levels: &[i16],
) -> Result<(), ParquetError> {
    for levels in levels.chunks(STEP_ROWS) {
        let present = levels.iter().filter(|level| **level > 0).count();
        let (step, rest) = values.split_at(present);
        writer.write_batch(step, Some(levels), None)?;
        thread::yield_now();
        values = rest;
    }
    Ok(())
}
