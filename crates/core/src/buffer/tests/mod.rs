mod appends;
mod model;
mod world;
