use kvstash as _;
fn main() {}
