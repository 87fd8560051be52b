package door

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/valyala/fastjson"

	"tsdb/api/reqbody"
)

// JSON parses bodies in JSON. The zero value is ready; it serves one body at a time, and
// is kept with a decoder for reuse.
//
// A value unescapes its string in place when its Type is asked for, and by rules of its
// own: read what may be a string with Text, which follows those of encoding/json.
type JSON struct {
	parser   *fastjson.Parser
	capacity int // values that the parser has room for
	parsed   int // values of all bodies since the parser was made
	copied   int // bytes of the largest body since then
	text     []byte

	charge func(bytes int64) error // nil = not charged
	paid   int64                   // bytes of this request that were charged
}

const (
	// jsonValueBytes is the maximum memory of a value in a tree: 80 bytes, those of a
	// smaller array of values while a larger one replaces it, and a place in the
	// object or array that holds it.
	jsonValueBytes = 224
	// maxPooledValues is the size of the largest tree that is kept for reuse. What is
	// kept is not charged: it is in a sync.Pool, which the next two collections empty.
	maxPooledValues = 1 << 17
	// A parser is replaced after as many values as 32 of its largest trees have, at
	// least minParsedValues and at most maxParsedValues: a place in the tree keeps the
	// largest array and object that ever stood in it, at most 30 bytes for each value
	// parsed. Bodies of the same form share their places.
	minParsedValues = 1 << 16
	maxParsedValues = 1 << 21
	// jsonGrowthValues is the size of a tree from which on it grows in steps.
	jsonGrowthValues = 1 << 12
)

// ErrJSON is returned for what is not JSON, or nested too deeply.
var ErrJSON = errors.New("malformed JSON")

// ChargeTo has the trees of a request charged, until Release. A tree that takes more than
// the whole budget is refused, though a request that is the only one may exceed it.
func (j *JSON) ChargeTo(ctx context.Context, charge *reqbody.Charge) {
	j.charge = func(n int64) error {
		if limit := (reqbody.Limit{Bytes: charge.Limit()}); j.paid+n > limit.Bytes {
			return limit.Exceeded("its JSON values take", j.paid+n)
		}
		return charge.Take(ctx, n)
	}
}

// Paid returns the number of bytes that were charged.
func (j *JSON) Paid() int64 { return j.paid }

// Parse returns the tree of a body, valid until the next call. The error is ErrJSON or
// that of the charge.
func (j *JSON) Parse(src []byte) (*fastjson.Value, error) {
	// The parser takes more than JSON, and its errors quote all that follows.
	if !json.Valid(src) {
		return nil, malformed(src)
	}
	values := 1 + bytes.Count(src, []byte{','}) + bytes.Count(src, []byte{'['}) + bytes.Count(src, []byte{'{'}) // or fewer
	if need := int64(values)*jsonValueBytes + int64(len(src)); need > j.paid && j.charge != nil {
		if err := j.charge(need - j.paid); err != nil {
			return nil, err
		}
		j.paid = need
	}
	if j.parser == nil {
		j.parser = new(fastjson.Parser)
	}
	j.grow(values)
	j.parsed += values
	j.copied = max(j.copied, len(src))
	v, err := j.parser.ParseBytes(src)
	if err != nil {
		return nil, fmt.Errorf("%w: it has more than %d levels", ErrJSON, fastjson.MaxDepth)
	}
	return v, nil
}

// malformed returns the error of a text that is not valid.
func malformed(src []byte) error {
	var raw json.RawMessage
	err := json.Unmarshal(src, &raw)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("%w after %d bytes: %w", ErrJSON, syntax.Offset, err)
	}
	return fmt.Errorf("%w: %w", ErrJSON, err)
}

// grow makes room for the values of a tree. The values of a tree that outgrows the array
// they are in stay in it, and others follow in one that is a quarter larger: a large tree
// that begins with nothing takes five times its size. So the room grows between trees.
func (j *JSON) grow(values int) {
	if values > j.capacity && values > jsonGrowthValues {
		text := append(bytes.Repeat([]byte("0,"), values+1), ']')
		text[0], text[1] = '[', ' '
		for n := max(j.capacity, jsonGrowthValues); n < values; {
			n = min(n+n/4, values)
			end := 2 * n
			text[end-1] = ']'
			_, _ = j.parser.ParseBytes(text[:end]) // n values with the array: no error
			text[end-1] = ','
		}
	}
	j.capacity = max(j.capacity, values)
}

// Text returns the content of a string, and of another word the word itself: of what may
// be sent as a string or as a number. It is nil for null and for a value that is absent.
// The slice is valid until ResetText.
func (j *JSON) Text(v *fastjson.Value) ([]byte, error) {
	b, quoted, err := j.Word(v)
	if !quoted && string(b) == "null" {
		b = nil
	}
	return b, err
}

// Word returns what Text does, null as the word, and whether it is a string. A value must
// not have been asked for its type before.
func (j *JSON) Word(v *fastjson.Value) (word []byte, quoted bool, err error) {
	if v == nil {
		return nil, false, nil
	}
	if v.GetObject() != nil || len(v.GetArray()) > 0 {
		return nil, false, errNoWord
	}
	from := len(j.text)
	j.text = v.MarshalTo(j.text)
	b := j.text[from:]
	switch b[0] {
	case '[':
		return nil, false, errNoWord
	case '"':
		if bytes.IndexByte(b, '\\') < 0 {
			return b[1 : len(b)-1], true, nil
		}
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return nil, true, fmt.Errorf("%w: %w", ErrJSON, err)
		}
		j.text = append(j.text[:from], s...)
		return j.text[from:], true, nil
	}
	return b, false, nil
}

var errNoWord = fmt.Errorf("%w: want a string or a number", ErrJSON)

// ResetText ends the use of the slices that Text returned.
func (j *JSON) ResetText() { j.text = j.text[:0] }

// Release ends the request, and drops large buffers.
func (j *JSON) Release() {
	j.charge, j.paid = nil, 0
	if j.capacity > maxPooledValues || j.parsed > min(max(32*j.capacity, minParsedValues), maxParsedValues) || j.copied > maxPooledBytes {
		j.parser, j.capacity, j.parsed, j.copied = nil, 0, 0, 0
	}
	if cap(j.text) > maxPooledBytes {
		j.text = nil
	}
	j.ResetText()
}
