//! corndog: syslog in, Kafka out, one pinned core per shard.

mod args;
mod certificates;
mod config;
mod cores;
mod engine;
mod figures;
mod hotdog_stats;
mod import;
mod kernel;
mod ledger;
mod listeners;
mod memory;
mod observer;
mod plan;
mod probe;
mod reload;
mod report;
mod rule_books;
mod run;
mod running;
mod signals;
mod statistics;
mod statsd;
mod status;
mod top;
mod trial;

use std::process::ExitCode;

#[cfg(not(feature = "count-allocations"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(feature = "count-allocations")]
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    match args::parse() {
        args::Command::Run { config, log } => run::run(config.as_deref(), log),
        args::Command::Check { config } => run::check(config.as_deref()),
        args::Command::Test(args) => trial::test(&args),
        args::Command::Import { file } => import::import(&file),
        args::Command::Top { address, is_once } => top::top(&address, is_once),
    }
}
