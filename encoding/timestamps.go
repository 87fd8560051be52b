package encoding

import "slices"

// AppendTimestamps appends the column of ts, at most MaxValues times; the column of
// no times is empty. Any integers can be stored; rising ones take the fewest bytes,
// and any number of them with a constant step takes some ten bytes. The bytes are a
// function of ts and tier, so equal columns can be stored once.
func AppendTimestamps(dst []byte, ts []int64, tier Tier) []byte {
	checkAppend("timestamp", len(ts))
	if len(ts) == 0 {
		return dst
	}
	s := takeScratch(tier)
	dst, _ = appendInts(dst, ts, tryAll|tryGrid, s)
	scratches.Put(s)
	return dst
}

// DecodeTimestamps appends the n times of src, exactly one column. On an error dst
// is returned unchanged.
func DecodeTimestamps(dst []int64, src []byte, n int) ([]int64, error) {
	if err := checkDecode("timestamp", n); err != nil {
		return dst, err
	}
	if n == 0 {
		if len(src) > 0 {
			return dst, corruptf("timestamps: %d bytes for no value", len(src))
		}
		return dst, nil
	}
	at := len(dst)
	out := slices.Grow(dst, n)[:at+n]
	if err := decodeInts(wordsOfInts(out[at:]), src); err != nil {
		return dst, err
	}
	return out, nil
}
