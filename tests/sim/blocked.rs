//! Blocked clients, expiry and transactions: every reply of every client equals the model's, whatever the seed.

use std::fmt::Write;

use kvstash::util::rng::Rng;

use crate::model::{Model, Name, Step};
use crate::world::{World, seeds};

const KEYS: [Name; 4] = ["a", "b", "c", "d"];
const CLIENTS: u32 = 5;
const TURNS: usize = 120;

/// A fault put into a run, to see that the simulation finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    /// Now and then a key that somebody waits for is forgotten.
    LostWakeup,
    /// Now and then nobody looks whose time is over.
    LateTimeout,
}

fn step(rng: &mut Rng, model: &Model, id: u32) -> Step {
    let key = KEYS[rng.below(KEYS.len() as u64) as usize];
    let other = KEYS[rng.below(KEYS.len() as u64) as usize];
    let (value, ttl_ms) = (rng.below(100) as u32, 1 + rng.below(40) as i64);
    let timeout_ms = if rng.below(3) == 0 { 0 } else { ttl_ms };
    let in_multi = model.is_in_multi(id);
    match rng.below(20) {
        0..=4 => Step::Push { key, value },
        5..=8 => Step::BlockingPop { keys: if key == other { vec![key] } else { vec![key, other] }, timeout_ms },
        9..=10 => Step::BlockingMove { from: key, to: other, timeout_ms },
        11 => Step::Pop(key),
        12 => Step::Set { key, value, ttl_ms: (value < 50).then_some(ttl_ms) },
        13 => Step::Get(key),
        14 => Step::Del(key),
        15 => Step::Expire { key, ttl_ms },
        16 => Step::Unblock(1 + rng.below(u64::from(CLIENTS)) as u32),
        17 if in_multi => Step::Discard,
        18 | 19 if in_multi => Step::Exec,
        17 | 18 => Step::Watch(key),
        _ => Step::Multi,
    }
}

/// Runs one seed; what differed, with the steps that led to it.
fn run(seed: u64, fault: Fault) -> Result<(), String> {
    let mut rng = Rng::from_seed(seed);
    let mut world = World::new(seed, CLIENTS);
    let mut model = Model::default();
    let mut history = String::new();
    for _ in 0..TURNS {
        let ms = rng.below(8) as i64;
        world.pass(ms);
        model.now_ms = world.host.now_ms();
        let _ = writeln!(history, "  +{ms} ms");
        for _ in 0..rng.below(6) {
            let id = 1 + rng.below(u64::from(CLIENTS)) as u32;
            if model.is_blocked(id) {
                continue;
            }
            let step = step(&mut rng, &model, id);
            let _ = writeln!(history, "  {id}> {}", step.words().join(" "));
            world.say(id, &step.words());
            model.say(id, &step);
            compare(&mut world, &mut model, &history)?;
            if fault == Fault::LostWakeup && world.is_blocked(id) && rng.below(4) == 0 {
                KEYS.iter()
                    .for_each(|key| world.inst.keyspace.with_blocking_keys(|keys| keys.unwant(0, key.as_bytes())));
            }
        }
        if fault != Fault::LateTimeout || rng.below(4) != 0 {
            world.settle();
        }
        model.end_waits();
        compare(&mut world, &mut model, &history)?;
    }
    world.inst.keyspace.check_invariants();
    Ok(())
}

fn compare(world: &mut World, model: &mut Model, history: &str) -> Result<(), String> {
    for id in 1..=CLIENTS {
        let (ours, theirs) = (world.received(id), model.received(id));
        if ours != theirs {
            let tail: Vec<&str> = history.lines().rev().take(30).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            return Err(format!("{}\n  client {id} got {ours:?}, the model says {theirs:?}", tail.join("\n")));
        }
        if world.is_blocked(id) != model.is_blocked(id) {
            return Err(format!("{history}\n  client {id}: blocked here, or in the model, and not in both"));
        }
    }
    Ok(())
}

#[test]
fn replies_equal_the_model_under_a_thousand_seeds() {
    for seed in seeds(1000) {
        if let Err(what) = run(seed, Fault::None) {
            panic!("seed {seed}:\n{what}\n  (SIM_SEED={seed} runs it alone)");
        }
    }
}

#[test]
fn planted_faults_are_found() {
    for fault in [Fault::LostWakeup, Fault::LateTimeout] {
        let found = (0..50).find(|seed| run(*seed, fault).is_err());
        assert!(found.is_some(), "50 seeds did not find {fault:?}");
    }
}
