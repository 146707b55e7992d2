//! Places on earth as numbers: 52 bits that take turns to halve the longitudes and the latitudes.
//!
//! Places that are near each other mostly have numbers that are, so a box on the map is a range of numbers, and a sorted
//! set that has them as scores finds what is in it. The highest bit is longitude's. Latitudes end where the Mercator
//! projection becomes a square; the text form is the public geohash, which goes to the poles.

use std::ops::Range;

/// Halvings of each coordinate in a full number.
pub const STEPS: u32 = 26;

const LONGITUDES: (f64, f64) = (-180.0, 180.0);
const LATITUDES: (f64, f64) = (-85.051_128_78, 85.051_128_78);

/// Metres, of a sphere that is near enough.
const EARTH_RADIUS: f64 = 6_372_797.560_856;

/// Half of the earth's circumference in the Mercator projection, metres.
const MERCATOR_MAX: f64 = 20_037_726.37;

/// Longitude and latitude, degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Place {
    pub longitude: f64,
    pub latitude: f64,
}

/// The number that a score stands for. Sorted sets can have scores that are none; what becomes of them is what Redis's
/// conversions to integers make of them on x86: 0 for those of 2^64 and more, 2^63 for those below -2^63.
pub fn number_of(score: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if score < HALF { truncated(score) as u64 } else { truncated(score - HALF) as u64 ^ (1 << 63) }
}

/// The integer part of a score, or the least integer where it has none.
pub fn truncated(score: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&score) { score as i64 } else { i64::MIN }
}

impl Place {
    /// None for what is not on the map.
    pub fn new(longitude: f64, latitude: f64) -> Option<Place> {
        let on = |(least, most): (f64, f64), value: f64| (least..=most).contains(&value);
        (on(LONGITUDES, longitude) && on(LATITUDES, latitude)).then_some(Place { longitude, latitude })
    }

    /// The place's number.
    pub fn encode(self) -> u64 {
        self.cell(STEPS, LATITUDES).bits
    }

    /// The middle of the cell that a number stands for.
    pub fn decode(number: u64) -> Place {
        let (west, east, south, north) = Cell { bits: number, steps: STEPS }.edges();
        Place {
            longitude: ((west + east) / 2.0).clamp(LONGITUDES.0, LONGITUDES.1),
            latitude: ((south + north) / 2.0).clamp(LATITUDES.0, LATITUDES.1),
        }
    }

    fn cell(self, steps: u32, latitudes: (f64, f64)) -> Cell {
        let part =
            |value: f64, (least, most): (f64, f64)| ((value - least) / (most - least) * (1_u64 << steps) as f64) as u32;
        Cell::at(part(self.longitude, LONGITUDES), part(self.latitude, latitudes), steps)
    }

    /// Metres along the sphere.
    pub fn distance(self, other: Place) -> f64 {
        let half_chord = |a: f64, b: f64| ((b.to_radians_as_c() - a.to_radians_as_c()) / 2.0).sin();
        let v = half_chord(self.longitude, other.longitude);
        if v == 0.0 {
            return latitude_distance(self.latitude, other.latitude);
        }
        let u = half_chord(self.latitude, other.latitude);
        let cosines = self.latitude.to_radians_as_c().cos() * other.latitude.to_radians_as_c().cos();
        2.0 * EARTH_RADIUS * (u * u + cosines * v * v).sqrt().asin()
    }

    /// The eleven letters of the public geohash; the last one is always 0, for there are 52 bits and not 55.
    pub fn text(self) -> [u8; 11] {
        const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = self.cell(STEPS, (-90.0, 90.0)).bits;
        let mut text = [b'0'; 11];
        for (i, letter) in text.iter_mut().take(10).enumerate() {
            *letter = LETTERS[(bits >> (52 - (i + 1) * 5)) as usize & 31];
        }
        text
    }
}

fn latitude_distance(a: f64, b: f64) -> f64 {
    EARTH_RADIUS * (b.to_radians_as_c() - a.to_radians_as_c()).abs()
}

/// Degrees to radians by multiplication, in the one order that gives the same last bit everywhere.
trait Angle {
    fn to_radians_as_c(self) -> f64;
}

impl Angle for f64 {
    fn to_radians_as_c(self) -> f64 {
        self * (std::f64::consts::PI / 180.0)
    }
}

fn degrees(radians: f64) -> f64 {
    radians / (std::f64::consts::PI / 180.0)
}

/// A rectangle on the map: all places whose numbers begin with the same bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    bits: u64,
    steps: u32,
}

impl Cell {
    fn at(x: u32, y: u32, steps: u32) -> Cell {
        Cell { bits: spread(x) << 1 | spread(y), steps }
    }

    /// The numbers of the places in it.
    pub fn numbers(self) -> Range<u64> {
        let shift = 2 * (STEPS - self.steps);
        self.bits << shift..(self.bits + 1) << shift
    }

    /// West, east, south, north.
    fn edges(self) -> (f64, f64, f64, f64) {
        let (x, y) = (gather(self.bits >> 1), gather(self.bits));
        let edge =
            |i: u64, (least, most): (f64, f64)| least + (i as f64 / (1_u64 << self.steps) as f64) * (most - least);
        let (x, y) = (u64::from(x), u64::from(y));
        (edge(x, LONGITUDES), edge(x + 1, LONGITUDES), edge(y, LATITUDES), edge(y + 1, LATITUDES))
    }

    /// The cell so many columns east and rows north of it; a coordinate that changes wraps around the map.
    fn beside(self, east: i64, north: i64) -> Cell {
        let step = |i: u32, by: i64| match by {
            0 => i,
            by => ((i64::from(i) + by) & ((1 << self.steps) - 1)) as u32,
        };
        Cell::at(step(gather(self.bits >> 1), east), step(gather(self.bits), north), self.steps)
    }
}

/// Puts a zero bit before each bit.
fn spread(x: u32) -> u64 {
    let mut x = u64::from(x);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        x = (x | x << shift) & mask;
    }
    x
}

/// The bits at even places.
fn gather(x: u64) -> u32 {
    let mut x = x & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        x = (x | x >> shift) & mask;
    }
    x as u32
}

/// What is looked for: metres around a centre.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shape {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

/// A part of the map.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Area {
    pub centre: Place,
    pub shape: Shape,
}

impl Area {
    /// The distance of a place from the centre, metres, if it lies within.
    pub fn distance_within(&self, place: Place) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius } => Some(self.centre.distance(place)).filter(|distance| *distance <= radius),
            Shape::Box { width, height } => {
                let Place { longitude, latitude } = self.centre;
                if latitude_distance(place.latitude, latitude) > height / 2.0 {
                    return None;
                }
                let level = Place { longitude, latitude: place.latitude };
                if place.distance(level) > width / 2.0 {
                    return None;
                }
                Some(self.centre.distance(place))
            }
        }
    }

    /// West, east, south, north: of a rectangle around it all.
    fn edges(&self) -> (f64, f64, f64, f64) {
        let Place { longitude, latitude } = self.centre;
        let (width, height) = match self.shape {
            Shape::Circle { radius } => (radius, radius),
            Shape::Box { width, height } => (width / 2.0, height / 2.0),
        };
        let up = degrees(height / EARTH_RADIUS);
        let aside = |at: f64| degrees(width / EARTH_RADIUS / at.to_radians_as_c().cos());
        // The side that is nearer to a pole spans more degrees.
        let aside = if latitude < 0.0 { aside(latitude - up) } else { aside(latitude + up) };
        (longitude - aside, longitude + aside, latitude - up, latitude + up)
    }

    /// How fine the cells may be if a cell and its eight neighbours are to hold it.
    fn steps(&self) -> u32 {
        let mut reach = match self.shape {
            Shape::Circle { radius } => radius,
            Shape::Box { width, height } => ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt(),
        };
        if reach == 0.0 {
            return STEPS;
        }
        let mut steps: i32 = 1;
        while reach < MERCATOR_MAX {
            reach *= 2.0;
            steps += 1;
        }
        steps -= 2;
        let latitude = self.centre.latitude.abs();
        steps -= i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
        steps.clamp(1, STEPS as i32) as u32
    }

    /// The cells that together hold the area, in the order in which Redis looks at them: what is found comes in that
    /// order to clients that ask for none.
    pub fn cells(&self) -> Vec<Cell> {
        let (west, east, south, north) = self.edges();
        let mut steps = self.steps();
        let mut cell = self.centre.cell(steps, LATITUDES);
        let reaches = |cell: Cell| {
            cell.beside(0, 1).edges().3 >= north
                && cell.beside(0, -1).edges().2 <= south
                && cell.beside(1, 0).edges().1 >= east
                && cell.beside(-1, 0).edges().0 <= west
        };
        if steps > 1 && !reaches(cell) {
            steps -= 1;
            cell = self.centre.cell(steps, LATITUDES);
        }
        let (cell_west, cell_east, cell_south, cell_north) = cell.edges();
        let mut cells: Vec<Cell> = Vec::with_capacity(9);
        for (x, y) in [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)] {
            // Where the middle cell reaches beyond the area, its neighbour is of no use.
            let useless = (y < 0 && cell_south < south)
                || (y > 0 && cell_north > north)
                || (x < 0 && cell_west < west)
                || (x > 0 && cell_east > east);
            if steps >= 2 && useless {
                continue;
            }
            let next = cell.beside(x, y);
            // Of very large cells there are few: neighbours on both sides are the same one.
            if cells.last() != Some(&next) {
                cells.push(next);
            }
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_are_no_numbers() {
        for (score, number) in [
            (0.0, 0),
            (3.9, 3),
            (-1.5, u64::MAX),
            (9.3e18, 9_300_000_000_000_000_000),
            (1.8446744073709552e19, 0),
            (1e300, 0),
            (f64::INFINITY, 0),
            (f64::NEG_INFINITY, 1 << 63),
            (-1e19, 1 << 63),
        ] {
            assert_eq!(number_of(score), number, "{score}");
        }
        assert_eq!([truncated(2.9), truncated(-2.9), truncated(1e19)], [2, -2, i64::MIN]);
    }
    use crate::util::rng::Rng;

    fn place(longitude: f64, latitude: f64) -> Place {
        Place::new(longitude, latitude).expect("on the map")
    }

    #[test]
    fn the_examples_everybody_knows() {
        let (palermo, catania) = (place(13.361389, 38.115556), place(15.087269, 37.502669));
        assert_eq!((palermo.encode(), catania.encode()), (3_479_099_956_230_698, 3_479_447_370_796_909));
        let (palermo, catania) = (Place::decode(palermo.encode()), Place::decode(catania.encode()));
        assert_eq!((&palermo.text(), &catania.text()), (b"sqc8b49rny0", b"sqdtr74hyu0"));
        assert_eq!(format!("{:.4}", palermo.distance(catania)), "166274.1516");
    }

    #[test]
    fn what_is_not_on_the_map() {
        assert_eq!(Place::new(180.1, 0.0), None);
        assert_eq!(Place::new(0.0, 86.0), None);
        assert_eq!(Place::new(f64::NAN, 0.0), None);
        assert!(Place::new(-180.0, -85.05).is_some());
    }

    /// A place on the northern or eastern edge has one bit more than others.
    #[test]
    fn the_edges_of_the_map() {
        for (longitude, latitude) in [(-180.0, 85.051_128_78), (180.0, -85.05), (180.0, 85.051_128_78)] {
            let number = place(longitude, latitude).encode();
            let centre = Place::decode(number);
            for radius in [0.0, 1.0, 1000.0, 1e6] {
                let area = Area { centre, shape: Shape::Circle { radius } };
                assert!(area.distance_within(Place::decode(number)).is_some());
                let cells = area.cells();
                assert!(cells.iter().any(|cell| cell.numbers().contains(&number)), "{number} {radius} {cells:?}");
            }
        }
    }

    #[test]
    fn bits_spread_and_gather() {
        for x in [0, 1, 0xffff_ffff, 0x1234_5678, 0x8000_0001] {
            assert_eq!(gather(spread(x)), x);
        }
        assert_eq!(spread(0b1011), 0b100_0101);
    }

    #[test]
    fn the_cells_of_an_area_hold_it() {
        let mut rng = Rng::from_seed(4);
        let mut part = |from: f64, to: f64| from + (to - from) * rng.below(1 << 40) as f64 / (1_u64 << 40) as f64;
        for round in 0..3_000 {
            let centre = place(part(-170.0, 170.0), part(-70.0, 70.0));
            let size = 10_f64.powf(part(1.0, 5.5));
            let shape = if round % 2 == 0 {
                Shape::Circle { radius: size }
            } else {
                Shape::Box { width: size, height: size * part(0.1, 3.0) }
            };
            let area = Area { centre, shape };
            let cells = area.cells();
            for _ in 0..20 {
                let near = 2.0 * degrees(size / EARTH_RADIUS);
                let longitude = centre.longitude + part(-near, near);
                let Some(place) = Place::new(longitude, centre.latitude + part(-near, near)) else { continue };
                if area.distance_within(place).is_some() {
                    let number = place.encode();
                    assert!(cells.iter().any(|cell| cell.numbers().contains(&number)), "{area:?} {place:?}");
                }
            }
        }
    }
}
