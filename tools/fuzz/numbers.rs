//! Operations of a model test out of the fuzzer's bytes: two bytes are a number, what is missing is 0.

pub fn operations<T>(data: &[u8], draw: fn(&mut dyn FnMut() -> u64) -> T) -> impl Iterator<Item = T> {
    let mut numbers = data.chunks(2).map(|pair| u64::from(pair[0]) | u64::from(*pair.get(1).unwrap_or(&0)) << 8);
    std::iter::from_fn(move || {
        let mut first = Some(numbers.next()?);
        Some(draw(&mut || first.take().or_else(|| numbers.next()).unwrap_or(0)))
    })
}
