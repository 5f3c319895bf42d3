#![allow(warnings, clippy::all)]
use std::collections::*;
use tidegate_templates::*;
fn env(k:&str,d:usize)->usize{std::env::var(k).ok().and_then(|v|v.parse().ok()).unwrap_or(d)}
fn csv(text: &str) -> Vec<Vec<String>> {
    let mut rows = vec![]; let mut row = vec![]; let mut f = String::new(); let mut q = false; let mut it = text.chars().peekable();
    while let Some(c) = it.next() {
        if q { if c == '"' { if it.peek() == Some(&'"') { f.push('"'); it.next(); } else { q = false; } } else { f.push(c); } continue; }
        match c { '"' => q = true, ',' => row.push(std::mem::take(&mut f)), '\r' => {}, '\n' => { row.push(std::mem::take(&mut f)); rows.push(std::mem::take(&mut row)); } c => f.push(c) }
    }
    if !f.is_empty() || !row.is_empty() { row.push(f); rows.push(row); }
    rows
}
fn score<A: std::hash::Hash + Eq + Copy>(truth: &[String], pred: &[A]) -> (f64, f64, usize, usize) {
    let mut members: HashMap<A, Vec<usize>> = HashMap::new(); let mut size: HashMap<&str, usize> = HashMap::new();
    for (i, p) in pred.iter().enumerate() { members.entry(*p).or_default().push(i); *size.entry(&truth[i]).or_default() += 1; }
    let (mut l, mut g) = (0, 0);
    for ids in members.values() { let t = &truth[ids[0]]; if ids.iter().all(|i| &truth[*i] == t) && size[t.as_str()] == ids.len() { l += ids.len(); g += 1; } }
    let (p, r) = (g as f64 / members.len() as f64, g as f64 / size.len() as f64);
    (l as f64 / truth.len() as f64, 2. * p * r / (p + r + 1e-12), members.len(), size.len())
}
fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let dbg = std::env::args().nth(2);
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().filter_map(|e| { let n = e.unwrap().file_name().into_string().unwrap(); n.strip_suffix("_2k.log_structured.csv").map(str::to_owned) }).collect();
    names.sort();
    let (mut sga, mut sf) = (0., 0.);
    for n in &names {
        let rows = csv(&std::fs::read_to_string(format!("{folder}/{n}_2k.log_structured.csv")).unwrap());
        let ci = rows[0].iter().position(|c| c == "Content").unwrap(); let ei = rows[0].iter().position(|c| c == "EventId").unwrap();
        let lines: Vec<String> = rows[1..].iter().map(|r| r[ci].clone()).collect(); let truth: Vec<String> = rows[1..].iter().map(|r| r[ei].clone()).collect();
        let mut m = Miner::new(Settings::default()).unwrap(); let first: Vec<TemplateId> = lines.iter().map(|l| m.mine(l)).collect();
        let pred: Vec<TemplateId> = first.iter().map(|n| m.resolve(*n)).collect();
        let raw = score(&truth, &first);
        let t = std::time::Instant::now(); for _ in 0..50 { for l in &lines { std::hint::black_box(m.mine(l)); } }
        let ns = t.elapsed().as_nanos() as f64 / (50. * lines.len() as f64);
        let t = std::time::Instant::now(); for _ in 0..10 { let mut m = Miner::new(Settings::default()).unwrap(); for l in &lines { std::hint::black_box(m.mine(l)); } }
        let cold = t.elapsed().as_nanos() as f64 / (10. * lines.len() as f64);
        let (ga, f, p, tr) = score(&truth, &pred); sga += ga; sf += f;
        println!("{n:10} GA {ga:.3} FGA {f:.3} found {p} true {tr}  raw {:.3} {:.3} warm {ns:.0} cold {cold:.0}", raw.0, raw.1);
        if dbg.as_deref() == Some(n) {
            let text: HashMap<TemplateId, String> = m.templates().map(|t| (t.id, t.named_text)).collect();
            let mut by: BTreeMap<TemplateId, BTreeMap<&str, usize>> = BTreeMap::new(); for i in 0..lines.len() { *by.entry(pred[i]).or_default().entry(&truth[i]).or_default() += 1; }
            let mut cnt: HashMap<&str, BTreeSet<TemplateId>> = HashMap::new(); for i in 0..lines.len() { cnt.entry(&truth[i]).or_default().insert(pred[i]); }
            for (k, v) in by { if v.len() > 1 || cnt[v.keys().next().unwrap()].len() > 1 { println!("  {:?} {}", v, &text[&k].chars().take(200).collect::<String>()); } }
        }
    }
    println!("mean GA {:.3} FGA {:.3}", sga / names.len() as f64, sf / names.len() as f64);
}
