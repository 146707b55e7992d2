//! Places on earth: GEOADD GEOPOS GEODIST GEOHASH GEOSEARCH GEOSEARCHSTORE GEORADIUS and its kin.

use crate::support::{Server, each_proto};

#[test]
fn places() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania => 2
            GEOADD Sicily 13.361389 38.115556 Palermo => 0
            GEOADD Sicily CH 13.583333 37.316667 Agrigento 15 37 Catania => 2
            GEOADD Sicily NX 1 1 Palermo             => 0
            GEOADD Sicily XX CH 15.087269 37.502669 Catania 1 1 Nowhere => 1
            GEOADD none XX 1 1 a                     => 0
            EXISTS none                              => 0
            TYPE Sicily                              => zset
            ZRANGE Sicily 0 -1                       => ["Agrigento" "Palermo" "Catania"]
            GEODIST Sicily Palermo Catania           => "166274.1516"
            GEODIST Sicily Palermo Catania km        => "166.2742"
            GEODIST Sicily Palermo Catania MI        => "103.3182"
            GEODIST Sicily Palermo Catania ft        => "545518.8700"
            GEODIST Sicily Palermo Catania foo       => (error) ERR unsupported unit provided. please use M, KM, FT, MI
            GEODIST Sicily Palermo Nowhere           => (nil)
            GEODIST none a b                         => (nil)
            GEODIST Sicily Palermo Catania km x      => (error) ERR syntax error
            GEOHASH Sicily Palermo Catania Nowhere   => ["sqc8b49rny0" "sqdtr74hyu0" (nil)]
            GEOHASH none a                           => [(nil)]
            GEOHASH Sicily                           => []
            GEOPOS Sicily Nowhere                    => [(nil array)] || [(nil)]
            GEOPOS Sicily                            => []
            GEOPOS none a                            => [(nil array)] || [(nil)]
            GEOADD Sicily 181 1 a                    => (error) ERR invalid longitude,latitude pair 181.000000,1.000000
            GEOADD Sicily 1 86 a                     => (error) ERR invalid longitude,latitude pair 1.000000,86.000000
            GEOADD Sicily x 1 a                      => (error) ERR value is not a valid float
            GEOADD Sicily 1 1                        => (error) ERR wrong number of arguments for 'geoadd' command
            GEOADD Sicily NX XX 1 1 a                => (error) ERR syntax error
            GEOADD Sicily 1 1 a 2                    => (error) ERR syntax error
            SET str x                                => OK
            GEOADD str 1 1 a                         => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            GEOPOS str a                             => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            GEODIST str a b                          => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            GEOSEARCH str FROMMEMBER a BYRADIUS 1 m  => (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    });
}

#[test]
fn searches() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 edge1 17.241510 38.788135 edge2 => 4
            GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km ASC => ["Catania" "Palermo"]
            GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 200 km DESC WITHDIST WITHHASH => [["Palermo" "190.4424" 3479099956230698] ["Catania" "56.4413" 3479447370796909]]
            GEOSEARCH Sicily FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHDIST => [["Catania" "56.4413"] ["Palermo" "190.4424"] ["edge2" "279.7403"] ["edge1" "279.7405"]]
            GEOSEARCH Sicily FROMMEMBER Palermo BYRADIUS 100 mi ASC WITHHASH => [["Palermo" 3479099956230698] ["edge1" 3479273021651468]]
            GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 400 km COUNT 2 => ["Catania" "Palermo"]
            GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 400 km COUNT 1 DESC => ["edge1"]
            GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 0 m => []
            GEOSEARCH none FROMLONLAT 15 37 BYRADIUS 1 m => []
            GEOSEARCH none FROMMEMBER x BYRADIUS 1 m => []
            GEOSEARCH Sicily FROMMEMBER x BYRADIUS 1 m => (error) ERR could not decode requested zset member
            GEOSEARCH Sicily FROMLONLAT 15 37 FROMMEMBER Palermo BYRADIUS 1 m => (error) ERR syntax error
            GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 1 m BYBOX 1 1 m => (error) ERR syntax error
            GEOSEARCH Sicily FROMLONLAT 15 37 WITHDIST WITHHASH WITHCOORD => (error) ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH
            GEOSEARCH Sicily BYRADIUS 1 m WITHDIST ASC => (error) ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH
            GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 1 m ANY => (error) ERR the ANY argument requires COUNT argument
            GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 1 m COUNT 0 => (error) ERR COUNT must be > 0
            GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 1 m COUNT x => (error) ERR value is not an integer or out of range
            GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS x m => (error) ERR need numeric radius
            GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS -1 m => (error) ERR radius cannot be negative
            GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 1 foo => (error) ERR unsupported unit provided. please use M, KM, FT, MI
            GEOSEARCH Sicily FROMLONLAT 15 37 BYBOX x 1 m => (error) ERR need numeric width
            GEOSEARCH Sicily FROMLONLAT 15 37 BYBOX 1 x m => (error) ERR need numeric height
            GEOSEARCH Sicily FROMLONLAT 15 37 BYBOX -1 1 m => (error) ERR height or width cannot be negative
            GEOSEARCH Sicily FROMLONLAT 195 37 BYBOX 1 1 m => (error) ERR invalid longitude,latitude pair 195.000000,37.000000
            GEOSEARCH Sicily FROMLONLAT 15 37 BYRADIUS 1 m STORE x => (error) ERR syntax error
            GEOSEARCHSTORE d Sicily FROMLONLAT 15 37 BYBOX 400 400 km => 4
            ZRANGE d 0 -1                            => ["Palermo" "edge1" "Catania" "edge2"]
            GEOSEARCHSTORE d Sicily FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST => 2
            ZRANGE d 0 -1                            => ["Catania" "Palermo"]
            GEOSEARCHSTORE d Sicily FROMLONLAT 15 37 BYRADIUS 1 m => 0
            EXISTS d                                 => 0
            GEOSEARCHSTORE d none FROMLONLAT 15 37 BYRADIUS 1 m => 0
            GEOSEARCHSTORE d Sicily FROMLONLAT 15 37 BYRADIUS 1 m WITHDIST => (error) ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options
            GEOSEARCHSTORE d Sicily FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 ASC => 1
            GEORADIUS Sicily 15 37 200 km ASC WITHDIST => [["Catania" "56.4413"] ["Palermo" "190.4424"]]
            GEORADIUS Sicily 15 37 200 km DESC COUNT 1 => ["Palermo"]
            GEORADIUS Sicily 15 37 200 km STORE d    => 2
            ZRANGE d 0 -1                            => ["Palermo" "Catania"]
            GEORADIUS Sicily 15 37 200 km STOREDIST d => 2
            GEORADIUS Sicily 15 37 1 m STORE d       => 0
            EXISTS d                                 => 0
            GEORADIUS Sicily 15 37 200 km STORE d WITHDIST => (error) ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options
            GEORADIUS Sicily 15 37 200               => (error) ERR wrong number of arguments for 'georadius' command
            GEORADIUS Sicily 15 37 200 km FOO        => (error) ERR syntax error
            GEORADIUS none 15 37 200 km              => []
            GEORADIUS none 15 37 200 km STORE d      => 0
            GEORADIUS_RO Sicily 15 37 200 km ASC     => ["Catania" "Palermo"]
            GEORADIUS_RO Sicily 15 37 200 km STORE d => (error) ERR syntax error
            GEORADIUSBYMEMBER Sicily Palermo 200 km ASC WITHDIST => [["Palermo" "0.0000"] ["edge1" "91.4007"] ["Catania" "166.2742"]]
            GEORADIUSBYMEMBER Sicily Palermo 200 km STORE d => 3
            GEORADIUSBYMEMBER Sicily Nowhere 200 km  => (error) ERR could not decode requested zset member
            GEORADIUSBYMEMBER none x 200 km          => []
            GEORADIUSBYMEMBER_RO Sicily Palermo 200 km ASC COUNT 1 => ["Palermo"]
            GEORADIUSBYMEMBER_RO Sicily Palermo 200 km STORE d => (error) ERR syntax error
            "#,
        );
    });
}

#[test]
fn coordinates_come_back_nearly_as_they_were() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.int("GEOADD g 13.361389 38.115556 a -180 -85.05112878 b 0 0 c");
        for (member, longitude, latitude) in [("a", 13.361389, 38.115556), ("b", -180.0, -85.05112878), ("c", 0.0, 0.0)]
        {
            for reply in [
                kv.line(&format!("GEOPOS g {member}")).items()[0].items().to_vec(),
                kv.line(&format!("GEOSEARCH g FROMMEMBER {member} BYRADIUS 1 m WITHCOORD")).items()[0].items()[1]
                    .items()
                    .to_vec(),
            ] {
                let text = |i: usize| reply[i].text().trim_start_matches("(double) ").trim_matches('"').to_owned();
                let number = |i: usize| text(i).parse::<f64>().expect("a number");
                assert!((number(0) - longitude).abs() < 1e-5 && (number(1) - latitude).abs() < 1e-5, "{reply:?}");
            }
        }
    });
}

/// A sorted set that holds no places is read as Redis reads it.
#[test]
fn scores_that_are_no_places() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            ZADD z -2 b 5 d
            GEOHASH z b                => ["bp05b5048p0"]
            "#,
        );
    });
}
