package encoding

// startMode is the first byte of a column of start timestamps; a column of integers
// follows. If no sample of a chunk has a start timestamp, the column is empty.
type startMode uint8

const (
	startRaw      startMode = 1 // the start timestamps
	startToTime   startMode = 2 // time of the sample minus start
	startToBefore startMode = 3 // start minus the time of the previous sample
)

var startModeNames = [...]string{"absent", "raw", "time - start", "start - time before"}

// AppendStartTimestamps appends the column of the start timestamps sts of the
// samples at ts: of the same length, or empty if no sample has one. Nothing is
// appended if all are zero. It stores the shortest of: the timestamps themselves
// (long-lived counters), their distances from the sample (a fixed interval), or
// from the previous sample (intervals without gaps).
func AppendStartTimestamps(dst []byte, sts, ts []int64, tier Tier) []byte {
	checkAppend("start timestamp", len(sts))
	if allZero(sts) {
		return dst
	}
	if len(sts) != len(ts) {
		panic("BUG: as many start timestamps as timestamps")
	}
	s := takeScratch(tier)
	at := len(dst)
	dst, _ = appendInts(append(dst, byte(startRaw)), sts, tryAll, s)
	best := len(dst) - at
	if best > startShort {
		s.ints = sized(s.ints, len(sts))
		for m := startToTime; m <= startToBefore; m++ {
			fromStarts(s.ints, sts, ts, m)
			s.bytes, _ = appendInts(append(s.bytes[:0], byte(m)), s.ints, tryAll, s)
			if len(s.bytes) < best {
				best = len(s.bytes)
				dst = append(dst[:at], s.bytes...)
			}
		}
	}
	scratches.Put(s)
	return dst
}

// startShort is the length up to which a raw column is not compared with the
// others: one start for all samples takes 8 bytes.
const startShort = 9

// fromStarts sets ks to the integers that mode m stores.
func fromStarts(ks, sts, ts []int64, m startMode) {
	before := ts[0]
	for i, st := range sts {
		if m == startToTime {
			ks[i] = ts[i] - st
		} else {
			ks[i] = st - before
			before = ts[i]
		}
	}
}

// DecodeStartTimestamps appends the start timestamps of the samples at ts, one
// each, zero where a sample has none. src is exactly one column. On an error dst
// is returned unchanged.
func DecodeStartTimestamps(dst []int64, src []byte, ts []int64) ([]int64, error) {
	at := len(dst)
	if len(src) == 0 {
		out := append(dst, ts...)
		clear(out[at:])
		return out, nil
	}
	m := startMode(src[0])
	if m < startRaw || m > startToBefore {
		return dst, corruptf("start timestamps: unknown mode %d", m)
	}
	out, err := DecodeTimestamps(dst, src[1:], len(ts))
	if err != nil {
		return dst, err
	}
	sts := out[at:]
	switch m {
	case startToTime:
		for i := range sts {
			sts[i] = ts[i] - sts[i]
		}
	case startToBefore:
		for i := range sts {
			sts[i] += ts[max(i-1, 0)]
		}
	}
	return out, nil
}

func allZero(vs []int64) bool {
	for _, v := range vs {
		if v != 0 {
			return false
		}
	}
	return true
}
