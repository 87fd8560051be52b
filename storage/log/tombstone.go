package log

import (
	"encoding/binary"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/encoding"
	"tsdb/internal/model"
)

// Tombstone records the deletion of the samples in a range of all series that match.
// The tenant is in the frame.
type Tombstone struct {
	Matchers []*labels.Matcher
	Range    model.TimeRange
}

// AppendTombstone appends the payload of a delete: first and last bound of the
// range (zz each), the number of matchers (u), and for each its type (a byte),
// name and value (u, bytes each). It fails with ErrTooLarge if the matchers
// exceed model.MaxMatchers or model.MaxMatcherBytes.
func AppendTombstone(dst []byte, t Tombstone) ([]byte, error) {
	if err := checkMatchers(t.Matchers); err != nil {
		return dst, fmt.Errorf("encode tombstone: %w", err)
	}
	dst = binary.AppendVarint(dst, t.Range.Min)
	dst = binary.AppendVarint(dst, t.Range.Max)
	dst = binary.AppendUvarint(dst, uint64(len(t.Matchers)))
	for _, m := range t.Matchers {
		dst = append(dst, byte(m.Type))
		dst = appendString(dst, m.Name)
		dst = appendString(dst, m.Value)
	}
	return dst, nil
}

// AppendDeletion appends the payload of a FrameDeletion: the number of the deletion (u),
// which is unique in the generation, and what AppendTombstone appends.
func AppendDeletion(dst []byte, number uint64, t Tombstone) ([]byte, error) {
	return AppendTombstone(binary.AppendUvarint(dst, number), t)
}

// DecodeDeletion reads what AppendDeletion wrote.
func DecodeDeletion(src []byte) (number uint64, t Tombstone, err error) {
	number, src, err = encoding.Uvarint(src)
	if err != nil {
		return 0, t, fmt.Errorf("deletion: %w", Corruptf("number: %v", err))
	}
	t, err = DecodeTombstone(src)
	return number, t, err
}

// AppendDeletionEnd appends the payload of a FrameDeletionEnd: the number of the
// deletion (u).
func AppendDeletionEnd(dst []byte, number uint64) []byte { return binary.AppendUvarint(dst, number) }

// DecodeDeletionEnd reads what AppendDeletionEnd wrote.
func DecodeDeletionEnd(src []byte) (number uint64, err error) {
	number, src, err = encoding.Uvarint(src)
	if err != nil {
		return 0, fmt.Errorf("end of deletion: %w", Corruptf("number: %v", err))
	}
	return number, atEnd("end of deletion", src)
}

// checkMatchers returns an error for matchers that cannot be logged. DecodeTombstone
// refuses the same ones.
func checkMatchers(ms []*labels.Matcher) error {
	if len(ms) > model.MaxMatchers {
		return fmt.Errorf("%d matchers exceed the limit of %d: %w", len(ms), model.MaxMatchers, ErrTooLarge)
	}
	for i, m := range ms {
		if m.Type > labels.MatchNotRegexp {
			return fmt.Errorf("matcher %d is of unknown type %d", i, m.Type)
		}
		if n := max(len(m.Name), len(m.Value)); n > model.MaxMatcherBytes {
			return fmt.Errorf("matcher %d has a name or value of %d bytes, the limit is %d: %w", i, n, model.MaxMatcherBytes, ErrTooLarge)
		}
	}
	return nil
}

// DecodeTombstone reads what AppendTombstone wrote.
func DecodeTombstone(src []byte) (t Tombstone, err error) {
	if t.Range.Min, src, err = varint(src); err == nil {
		t.Range.Max, src, err = varint(src)
	}
	if err != nil {
		return t, fmt.Errorf("tombstone: range: %w", err)
	}
	n, src, err := encoding.Uvarint(src)
	if err != nil {
		return t, fmt.Errorf("tombstone: %w", Corruptf("matchers: %v", err))
	}
	if n > model.MaxMatchers || 3*n > uint64(len(src)) {
		return t, fmt.Errorf("tombstone: %w", Corruptf("%d matchers in %d bytes", n, len(src)))
	}
	for i := range n {
		var m *labels.Matcher
		if m, src, err = decodeMatcher(src); err != nil {
			return t, fmt.Errorf("tombstone: matcher %d: %w", i, err)
		}
		t.Matchers = append(t.Matchers, m)
	}
	return t, atEnd("tombstone", src)
}

func decodeMatcher(src []byte) (_ *labels.Matcher, rest []byte, err error) {
	if len(src) == 0 || src[0] > byte(labels.MatchNotRegexp) {
		return nil, nil, Corruptf("no type of a matcher")
	}
	name, rest, err := encoding.Bytes(src[1:], model.MaxMatcherBytes)
	if err != nil {
		return nil, nil, Corruptf("name: %v", err)
	}
	value, rest, err := encoding.Bytes(rest, model.MaxMatcherBytes)
	if err != nil {
		return nil, nil, Corruptf("value: %v", err)
	}
	m, err := labels.NewMatcher(labels.MatchType(src[0]), string(name), string(value))
	if err != nil {
		return nil, nil, Corruptf("%v", err)
	}
	return m, rest, nil
}
