#![allow(warnings, clippy::all)]
use tidegate_templates::*;
fn main() { let mut m = Miner::new(Settings::default()).unwrap(); for l in std::io::stdin().lines() { let l = l.unwrap(); let id = m.mine(&l); println!("{}   <= {}", m.template(id).map(|t| t.named_text).unwrap_or_default(), l); } }
