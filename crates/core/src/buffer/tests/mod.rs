mod appends;
mod bytes;
mod crash;
mod fixture;
mod known_errors;
mod limits;
mod model;
mod world;
