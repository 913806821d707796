//! Random lists of events: the rules hold at each step, and then everything ends.

use std::num::NonZeroU32;
use std::time::Duration;

use manyhands::Exit;
use manyhands::process::supervisor::{Event, OnCrash, Options, Rules};
use proptest::prelude::*;

use crate::common::watched;
use crate::world::World;

const CASES: u32 = 1_500;
const GRACE: Duration = Duration::from_millis(100);

/// What happens; numbers choose among the processes, or the tasks, that there are.
#[derive(Clone, Debug)]
enum Op {
    Submit { timeout: Option<u64>, retries: Option<u32>, huge: bool },
    At(usize, Deed),
    LaunchesFail(u32),
    LanesFull(u32),
    Cancel(usize),
    Withdraw(usize),
    Advance(u64),
    Close(bool),
    Terminate,
    Kill,
}

/// What a process does.
#[derive(Clone, Debug)]
enum Deed {
    Ready,
    Claim,
    Answer,
    /// Its answers are heard: each was so many microseconds of work.
    Deliver(u64),
    /// Claims, answers, and is heard.
    Run(u64),
    /// Does what it was told.
    Obey,
    Die(Exit),
    TearLink,
    InitializerFails,
    /// Its task waits for one of the tasks.
    Wait(usize, bool),
    Resume,
}

fn op(deadly: bool) -> BoxedStrategy<Op> {
    let at = |deed: BoxedStrategy<Deed>| (0..4_usize, deed).prop_map(|(at, deed)| Op::At(at, deed));
    let just = |deed: Deed| at(Just(deed).boxed());
    let took = || prop_oneof![Just(1), Just(10), Just(300), Just(1_000_000)];
    let exit = prop_oneof![Just(Exit::Code(1)), Just(Exit::Signal(9)), Just(Exit::Unknown)];
    let timeout = || prop::option::weighted(0.2, 1..60_u64);
    let anything = prop_oneof![
        30 => (timeout(), prop::option::weighted(0.3, 0..3_u32), prop::bool::weighted(0.02))
            .prop_map(|(timeout, retries, huge)| Op::Submit { timeout, retries, huge }),
        12 => just(Deed::Ready),
        16 => just(Deed::Claim),
        8 => just(Deed::Answer),
        8 => at(took().prop_map(Deed::Deliver).boxed()),
        20 => at(took().prop_map(Deed::Run).boxed()),
        8 => just(Deed::Obey),
        6 => at(exit.prop_map(Deed::Die).boxed()),
        1 => just(Deed::TearLink),
        12 => at((any::<usize>(), prop::bool::weighted(0.2))
            .prop_map(|(number, timed)| Deed::Wait(number, timed)).boxed()),
        8 => just(Deed::Resume),
        1 => (1..3_u32).prop_map(Op::LaunchesFail),
        1 => (1..4_u32).prop_map(Op::LanesFull),
        8 => any::<usize>().prop_map(Op::Cancel),
        3 => any::<usize>().prop_map(Op::Withdraw),
        10 => (1..150_u64).prop_map(Op::Advance),
    ];
    let end = prop_oneof![
        just(Deed::InitializerFails),
        any::<bool>().prop_map(Op::Close),
        Just(Op::Terminate),
        Just(Op::Kill),
    ];
    if deadly { prop_oneof![30 => anything, 1 => end].boxed() } else { anything.boxed() }
}

fn options() -> impl Strategy<Value = Options> {
    let most = prop::option::weighted(0.3, 1..4_u32);
    let capacity = prop_oneof![Just(1_u32), Just(2), Just(8)];
    let extra = 0..3_u32;
    (1..4_u32, capacity, any::<bool>(), 0..3_u32, most, 1..4_u32, any::<bool>(), extra).prop_map(
        |(max_workers, capacity, breaks, retries, most, births, spares_first, extra)| Options {
            max_workers: NonZeroU32::new(max_workers).unwrap(),
            most_extra: extra,
            capacity: NonZeroU32::new(capacity).unwrap(),
            on_crash: if breaks { OnCrash::Break } else { OnCrash::Isolate },
            retries,
            max_tasks_per_child: most.and_then(NonZeroU32::new),
            births: NonZeroU32::new(births).unwrap(),
            grace: GRACE,
            spares_first,
        },
    )
}

fn apply(world: &mut World, op: &Op) {
    match op {
        Op::Submit { timeout, retries, huge } => {
            let timeout = timeout.map(Duration::from_millis);
            world.submit(Rules { timeout, retries: *retries }, *huge);
        }
        Op::At(at, deed) => {
            let seats = world.seats();
            if !seats.is_empty() {
                act(world, seats[at % seats.len()], deed);
            }
        }
        Op::LaunchesFail(times) => world.launches_fail = *times,
        Op::LanesFull(times) => world.lanes_full = *times,
        Op::Cancel(_) | Op::Withdraw(_) if world.tasks.is_empty() => (),
        Op::Cancel(number) => world.cancel(number % world.tasks.len()),
        Op::Withdraw(number) => {
            let number = number % world.tasks.len();
            world.tasks[number].withdrawn = true;
        }
        Op::Advance(millis) => world.advance(Duration::from_millis(*millis)),
        Op::Close(cancel) => world.close(*cancel),
        Op::Terminate => world.force(Event::Terminate),
        Op::Kill => world.force(Event::Kill),
    }
}

fn act(world: &mut World, at: usize, deed: &Deed) {
    match deed {
        Deed::Ready => world.ready(at),
        Deed::Claim => world.claim(at),
        Deed::Answer => world.answer(at),
        Deed::Deliver(micros) => world.deliver(at, Duration::from_micros(*micros)),
        Deed::Run(micros) => run(world, at, Duration::from_micros(*micros)),
        Deed::Obey => obey(world, at),
        Deed::Die(exit) => world.die(at, *exit),
        Deed::TearLink => world.tear_link(at),
        Deed::InitializerFails => world.initializer_fails(at),
        Deed::Wait(..) if world.tasks.is_empty() => (),
        Deed::Wait(number, timed) => world.wait(at, number % world.tasks.len(), *timed),
        Deed::Resume => world.resume(at),
    }
}

fn run(world: &mut World, at: usize, took: Duration) {
    world.claim(at);
    world.answer(at);
    world.deliver(at, took);
}

fn obey(world: &mut World, at: usize) {
    let process = world.process(at);
    if process.killed || process.terminated.is_some() {
        world.die(at, Exit::Signal(15));
    } else if process.asked.is_some() {
        world.answer(at);
        world.deliver(at, Duration::from_millis(1));
    } else if process.retired {
        world.die(at, Exit::Code(0));
    }
}

/// Every process does from now on what it is there for, until `is_over`.
fn cooperate(world: &mut World, is_over: impl Fn(&World) -> bool) {
    world.launches_fail = 0;
    world.lanes_full = 0;
    for _ in 0..10 * world.tasks.len() + 100 {
        if is_over(world) {
            return;
        }
        for at in world.seats() {
            if world.processes[at].is_some() {
                world.ready(at);
                world.resume(at);
                run(world, at, Duration::from_micros(10));
            }
            if world.processes[at].is_some() {
                obey(world, at);
            }
        }
        world.advance(Duration::from_millis(1));
    }
    assert!(is_over(world), "it goes on for ever: {:?}", world.supervisor);
}

fn play(options: Options, ops: &[Op]) {
    let mut world = World::new(options);
    for op in ops {
        apply(&mut world, op);
    }
    cooperate(&mut world, |world| world.tasks.iter().all(|task| task.ended));
    world.close(false);
    cooperate(&mut world, |world| world.done);
    for number in (1..world.tasks.len()).step_by(2) {
        world.take(number);
    }
}

#[test]
fn the_rules_hold_and_everything_ends() {
    let _watched = watched();
    let ops = || prop::collection::vec(op(false), 1..120);
    proptest!(ProptestConfig::with_cases(CASES), |(options in options(), ops in ops())| {
        play(options, &ops);
    });
}

#[test]
fn pools_that_are_closed_broken_or_ended_by_force_end_too() {
    let _watched = watched();
    let ops = || prop::collection::vec(op(true), 1..100);
    proptest!(ProptestConfig::with_cases(CASES), |(options in options(), ops in ops())| {
        play(options, &ops);
    });
}
