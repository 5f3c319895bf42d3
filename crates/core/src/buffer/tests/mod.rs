mod appends;
mod crash;
mod known_errors;
mod limits;
mod model;
mod world;
