package remotewrite

import "tsdb/api/ingest/wire"

// Tags of Sample in both versions of remote write.
const (
	tagSampleValue = 1<<3 | wire.Fixed64
	tagSampleTime  = 2<<3 | wire.Varint
	tagSampleStart = 3<<3 | wire.Varint // version 2 only
)

// parseSample decodes a Sample of either version. Bit n of fields is set if the
// message has a field n; field 3 is the start timestamp.
func parseSample(m []byte, fields uint32) (t, st int64, v float64, ok bool) {
	// The order that all known senders use: value, time, and optionally the
	// start timestamp.
	if len(m) > 10 && m[0] == tagSampleValue && m[9] == tagSampleTime {
		v, _ = wire.Double(m, 1)
		u, n := wire.Uvarint(m, 10)
		if n == len(m) {
			return int64(u), 0, v, true
		}
		if n > 0 && m[n] == tagSampleStart && fields>>3&1 == 1 {
			s, n := wire.Uvarint(m, n+1)
			if n == len(m) {
				return int64(u), int64(s), v, true
			}
		}
	}
	return parseAnySample(m, fields)
}

func parseAnySample(m []byte, fields uint32) (t, st int64, v float64, ok bool) {
	for i := 0; i < len(m); {
		tag, n := wire.Uvarint(m, i)
		if n < 0 {
			return 0, 0, 0, false
		}
		var u uint64
		switch {
		case tag == tagSampleValue:
			v, i = wire.Double(m, n)
		case tag == tagSampleTime:
			u, i = wire.Uvarint(m, n)
			t = int64(u)
		case tag == tagSampleStart && fields>>3&1 == 1:
			u, i = wire.Uvarint(m, n)
			st = int64(u)
		default:
			i = wire.SkipField(m, n, tag, fields)
		}
		if i < 0 {
			return 0, 0, 0, false
		}
	}
	return t, st, v, true
}
