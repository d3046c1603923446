//! Random rulesets on the real kernel, beside what `ctwarden::firewall` says of them. `tests/rules/run` builds and starts this.
//!
//! A flow that is judged to be let in must come in, from every source that was tried and with every packet it consists of;
//! one that is judged not to be translated must arrive at the port it was sent to. The other way about, a doubt is no fault:
//! how often it was needless is told.

mod generate;
mod packets;
mod programs;
mod world;

// The program's own code, without its command line.
#[allow(dead_code)]
#[path = "../../src/allocations.rs"]
mod allocations;
#[allow(dead_code)]
#[path = "../../src/daemon/mod.rs"]
mod daemon;
#[allow(dead_code)]
#[path = "../../src/stdio.rs"]
mod stdio;

use ctwarden::config::Config;
use ctwarden::firewall::{Check, Findings, Question, Reader, Text};
use ctwarden::observe::lines::CutLine;
use generate::{Draw, Language};
use world::World;

const USAGE: &str = "usage: rules-tests [--rounds N] [--seed N] [--verbose]";

/// What came of the rounds of one kind.
#[derive(Default)]
struct Sum {
    loaded: u32,
    /// Flows let in by the kernel, and of those the ones that were judged so.
    let_in: u32,
    judged: u32,
    wrong: u32,
}

fn main() {
    let (mut rounds, mut seed, mut verbose) = (300, 1, false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|n| n.parse().ok());
        match word.as_str() {
            "--rounds" => rounds = number().unwrap_or_else(|| panic!("{USAGE}")),
            "--seed" => seed = number().unwrap_or_else(|| panic!("{USAGE}")),
            "--verbose" => verbose = true,
            _ => panic!("{USAGE}"),
        }
    }
    let mut world = World::new().unwrap_or_else(|why| panic!("{why}"));
    let (mut passed, mut failed) = programs::run(&world);
    for language in Language::ALL {
        for translation in [false, true] {
            // Each ruleset can be made again by its seed alone.
            let mut sum = Sum::default();
            // Rules of another program would go on.
            Language::ALL.into_iter().for_each(|l| world.clear(l).expect("no rules"));
            for round in 0..rounds {
                let seed = u64::from(seed + round);
                if let Err(why) = try_one(&mut world, language, translation, seed, verbose, &mut sum) {
                    println!("{} {seed}: {why}", language.name());
                    sum.wrong += 1;
                }
            }
            let what = if translation { "not translated" } else { "let in" };
            println!(
                "{:<15} {:>4} rulesets, {:>5} flows {what}, {:>5} of them told so, {} judged wrong",
                language.name(),
                sum.loaded,
                sum.let_in,
                sum.judged,
                sum.wrong
            );
            // A generator whose rules do not load, or a judge who always doubts, would pass anything.
            let enough = sum.loaded >= rounds * 9 / 10 && sum.judged * 4 > sum.let_in;
            *if sum.wrong == 0 && enough { &mut passed } else { &mut failed } += 1;
        }
    }
    println!("{passed} passed, {failed} failed");
    std::process::exit((failed > 0).into());
}

fn judge(question: &Question<'_>, texts: &[(Text, String)]) -> Findings {
    let mut check = Check::new(question);
    for (text, lines) in texts {
        check.begin(*text);
        lines.lines().for_each(|l| check.line(CutLine { bytes: l.as_bytes(), whole: true }));
    }
    check.findings(true)
}

fn try_one(
    world: &mut World,
    language: Language,
    translation: bool,
    seed: u64,
    verbose: bool,
    sum: &mut Sum,
) -> Result<(), String> {
    let rules = generate::ruleset(&mut Draw::new(seed), language, translation);
    world.clear(language)?;
    if let Err(why) = world.load(language, &rules) {
        if verbose {
            println!("{} {seed}: {why}\n{}", language.name(), rules.concat());
        }
        return Ok(());
    }
    sum.loaded += 1;
    let config = Config { lifeline_dns: true, ..Config::default() };
    let own = world.own.clone();
    let question = Question::lifeline(&config, "lan0", &own);
    let findings = judge(&question, &world.saved(language)?);
    // What the kernel tells of iptables-nft's rules in nft's words is judged as well.
    let told_by_nft = match language {
        Language::IptablesNft => Some(judge(&question, &[(Text::Nft, world.listed()?)])),
        _ => None,
    };
    world.set_tracking(translation)?;
    let bits = |f: &Findings| if translation { f.translated } else { f.refused };
    let mut arrived = world.arrivals(&question.flows, translation);
    let wrong = |arrived: u32| {
        let all = u32::MAX >> (32 - question.flows.len());
        let wrong = |f: Findings| !bits(&f) & all & !arrived;
        wrong(findings) | told_by_nft.map_or(0, wrong)
    };
    // A machine may be busy: a fault must be one twice.
    if wrong(arrived) != 0 {
        std::thread::sleep(std::time::Duration::from_millis(300));
        arrived |= world.arrivals(&question.flows, translation);
    }
    sum.let_in += arrived.count_ones();
    sum.judged += (arrived & !bits(&findings)).count_ones();
    match wrong(arrived) {
        0 => Ok(()),
        wrong => {
            let flows: Vec<_> = (0..question.flows.len()).filter(|i| wrong >> i & 1 == 1).collect();
            let flows: Vec<_> = flows.iter().map(|i| question.flows[*i]).collect();
            let saved: String = world.saved(language)?.into_iter().map(|(_, text)| text).collect();
            let listed = if told_by_nft.is_some() { world.listed()? } else { String::new() };
            Err(format!("judged to come in, but did not: {flows:?}\n{saved}{listed}"))
        }
    }
}
