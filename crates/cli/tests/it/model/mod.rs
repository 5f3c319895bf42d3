//! Random work on one dataset, done by the real program and by a plain model: after each step both have the same rows.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the steps and their chances |
//! | `plain.rs` | the model: columns, and a list of rows |
//! | `world.rs` | the program: what is sent, asked, killed, restored |
//! | `copies.rs` | rows that expire; exports and backups, also while rows expire |

mod copies;
mod plain;
mod world;

use anyhow::{Context, Result};
use tidegate_load::now_unix_nanos;

use crate::draws::{Draws, setting};
use plain::{Column, Kind, Plain};
use world::World;

/// A run by hand takes more; each step takes about a third of a second, a kill or a restore some.
const STEPS: u64 = 40;

/// Columns are called as statements of the program might call what they count.
const NAMES: [&str; 8] = ["day", "last", "found", "checksum", "rows", "first", "low", "distinct"];

/// What is done to both.
#[derive(Debug, Clone, Copy)]
enum Step {
    Ingest,
    /// The same request again; nothing comes of it.
    Retry,
    /// Its key with other rows, which is refused.
    Confuse,
    /// The server is killed while it takes rows, which are sent again afterwards.
    IngestAndKill,
    AddColumn,
    Widen,
    /// A change that is not allowed, and changes nothing.
    Break,
    Flush,
    KillServer,
    KillEngine,
    Export,
    BackUp,
    Restore,
    /// Rows past an age go.
    Expire,
    /// The same, and server or engine is killed meanwhile.
    ExpireAndKill,
    /// The same, while a backup and an export are taken.
    ExpireBesideCopies,
}

impl Step {
    fn draw(draws: &mut Draws) -> Self {
        match draws.below(46) {
            0..=13 => Self::Ingest,
            14..=16 => Self::Retry,
            17 => Self::Confuse,
            18..=20 => Self::IngestAndKill,
            21..=24 => Self::AddColumn,
            25..=26 => Self::Widen,
            27..=28 => Self::Break,
            29..=31 => Self::Flush,
            32 => Self::KillServer,
            33..=34 => Self::KillEngine,
            35..=36 => Self::Export,
            37..=38 => Self::BackUp,
            39..=40 => Self::Restore,
            41..=42 => Self::Expire,
            43 => Self::ExpireAndKill,
            _ => Self::ExpireBesideCopies,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_work_leaves_what_a_plain_model_has() -> Result<()> {
    let (steps, seed) = (setting("TIDEGATE_MODEL_STEPS", STEPS), setting("TIDEGATE_MODEL_SEED", now_unix_nanos()));
    eprintln!("TIDEGATE_MODEL_SEED={seed} TIDEGATE_MODEL_STEPS={steps}");
    let mut draws = Draws(seed);
    let (mut world, mut plain) = (World::start().await?, Plain::default());
    world.ingest(&mut plain, &mut draws).await?;
    for number in 1..=steps {
        let step = Step::draw(&mut draws);
        eprintln!("step {number}: {step:?}");
        let done = async {
            take(step, &mut world, &mut plain, &mut draws).await?;
            world.compare(&plain, &mut draws).await
        };
        done.await.with_context(|| format!("step {number}, {step:?}, seed {seed}\n{}", world.log_tail()))?;
    }
    world.flush().await?;
    world.compare(&plain, &mut draws).await?;
    world.verify().await
}

async fn take(step: Step, world: &mut World, plain: &mut Plain, draws: &mut Draws) -> Result<()> {
    match step {
        Step::Ingest => world.ingest(plain, draws).await,
        Step::Retry => world.retry().await,
        Step::Confuse => world.confuse().await,
        Step::IngestAndKill => world.ingest_and_kill(plain, draws).await,
        Step::AddColumn => {
            let kind = *draws.one_of(&[Kind::Integer, Kind::Double, Kind::Text, Kind::Flag]);
            let default = draws.one_in(2).then(|| kind.value(draws));
            let (at, backfill) = (plain.columns.len(), draws.one_in(2));
            let name = NAMES.get(at).map_or_else(|| format!("c{at}"), |name| (*name).to_owned());
            world.add_column(plain, draws, (name, Column { kind, default }, backfill)).await
        }
        Step::Widen => match plain.column_of(draws, Kind::Integer) {
            Some(column) => world.widen(plain, draws, &column).await,
            None => Ok(()),
        },
        Step::Break => match plain.column_of(draws, Kind::Text) {
            Some(column) => world.try_to_break(plain, &column).await,
            None => Ok(()),
        },
        Step::Flush => world.flush().await,
        Step::KillServer => world.kill_server().await,
        Step::KillEngine => world.kill_engine().await,
        Step::Export => world.export(plain).await,
        Step::BackUp => world.back_up(plain).await,
        Step::Restore => world.restore(plain).await,
        Step::Expire => world.expire(plain, draws).await,
        Step::ExpireAndKill => world.expire_and_kill(plain, draws).await,
        Step::ExpireBesideCopies => world.expire_beside_copies(plain, draws).await,
    }
}
