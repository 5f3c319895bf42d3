mod appends;
mod world;
