//! A report over Apache and Nginx access logs.
//!
//! [`job::report`] reads its [`input`] in [`blocks`] of whole lines, has each counted by an
//! executor ([`tally::parse_block`], over [`line::parse`]), adds up the counts and turns them into
//! a [`report::Report`], which [`table`] shows to people.

pub mod blocks;
pub mod counts;
pub mod input;
pub mod job;
pub mod line;
pub mod report;
pub mod table;
pub mod tally;
