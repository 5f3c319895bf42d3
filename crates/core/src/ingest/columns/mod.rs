//! Column vectors: rows go in field by field, Arrow arrays come out.
//!
//! A row that turns out bad half-way is taken back with [`Column::truncate`]; what the columns then hold is the
//! whole rows before it. Text is not checked as it comes: Arrow checks a whole column at once when it is finished,
//! ten times cheaper. Where that fails the request is decoded again by `strict` columns, which check every value
//! and so find the rows to refuse.
//!
//! | file | holds |
//! |---|---|
//! | `numbers.rs` | [`Numbers`], [`Times`], [`Bools`], [`Optional`] |
//! | `text.rs` | [`Text`] |
//! | `word.rs` | [`Word`]: text with few distinct values; [`Dictionary`] |
//! | `attributes.rs` | [`Attributes`]: a map column and the column of its types; [`EntryList`]: one map's entries |
//! | `labels.rs` | [`Labels`]: a map column whose rows share few maps |
//! | `room.rs` | [`Room`]: how large columns will probably become |
//! | `list.rs` | [`List`]: a variable number of items in each row |

mod attributes;
mod labels;
mod list;
mod numbers;
mod room;
mod text;
mod word;

use arrow_array::ArrayRef;
use arrow_schema::ArrowError;

pub(crate) use attributes::{Attributes, EntryList, EntrySink};
pub(crate) use labels::Labels;
pub(crate) use list::List;
pub(crate) use numbers::{Bools, Numbers, Optional, Times};
pub(crate) use room::Room;
pub(crate) use text::Text;
pub(crate) use word::{Dictionary, Word};

/// One column, or several that grow together.
pub(crate) trait Column: Sized {
    /// Returns the number of whole rows.
    fn len(&self) -> usize;

    /// Takes back what was pushed behind the first `rows` rows.
    fn truncate(&mut self, rows: usize);

    /// Notes how large its vectors are, in the order in which [`Column::reserve`] takes them.
    fn measure(&self, sizes: &mut Vec<usize>);

    /// Makes room for vectors of these sizes.
    fn reserve(&mut self, sizes: &mut dyn Iterator<Item = usize>);

    /// Appends the Arrow form to `arrays`; fails on text that is not UTF-8.
    fn finish(self, arrays: &mut Vec<ArrayRef>) -> Result<(), ArrowError>;
}

/// Declares a struct of columns in the order of their table, which is itself a [`Column`].
macro_rules! columns {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $column:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name {
            $(pub(crate) $field: $column,)+
        }

        impl $crate::ingest::columns::Column for $name {
            fn len(&self) -> usize {
                [$($crate::ingest::columns::Column::len(&self.$field)),+][0]
            }

            fn truncate(&mut self, rows: usize) {
                $($crate::ingest::columns::Column::truncate(&mut self.$field, rows);)+
            }

            fn measure(&self, sizes: &mut Vec<usize>) {
                $($crate::ingest::columns::Column::measure(&self.$field, sizes);)+
            }

            fn reserve(&mut self, sizes: &mut dyn Iterator<Item = usize>) {
                $($crate::ingest::columns::Column::reserve(&mut self.$field, sizes);)+
            }

            fn finish(self, arrays: &mut Vec<arrow_array::ArrayRef>) -> Result<(), arrow_schema::ArrowError> {
                $($crate::ingest::columns::Column::finish(self.$field, arrays)?;)+
                Ok(())
            }
        }
    };
}
pub(crate) use columns;

/// Makes the room that comes next.
fn make_room<T>(vector: &mut Vec<T>, sizes: &mut dyn Iterator<Item = usize>) {
    vector.reserve_exact(sizes.next().unwrap_or(0));
}

/// Arrow counts with `i32`; a request and what it expands to are limited far below that.
fn offset(n: usize) -> i32 {
    i32::try_from(n).expect("`decode` limits a request's bytes and rows below 2^31")
}

/// The way back: an offset is never negative.
fn place(offset: i32) -> usize {
    usize::try_from(offset).expect("offsets start at 0 and grow")
}
