package prom

import (
	"context"
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"google.golang.org/protobuf/encoding/protowire"

	"tsdb/api/reqbody"
)

// Bounds of remote read requests, which are lists of matchers. The memory for
// decoding a message is estimated from its counts before decoding.
const (
	maxReadBytes    = maxFormBytes // of a request, both compressed and decompressed
	maxReadQueries  = maxSelectors
	maxReadFields   = 100_000 // at all levels of a message
	maxPatternBytes = 1 << 20 // of all regular expressions of a request

	// readFieldBytes bounds the memory of a decoded field without its content. The
	// largest field that may be empty on the wire is a Query with its pointer.
	readFieldBytes = 128
	// patternCost is the approximate memory of a compiled regular expression per
	// byte of its text.
	patternCost = 64
)

var readLimit = reqbody.Limit{Bytes: maxReadBytes}

// decodeReadRequest decodes a snappy block of protobuf. Its memory is charged to
// the body beforehand.
func decodeReadRequest(ctx context.Context, body *reqbody.Body) (*prompb.ReadRequest, error) {
	var scratch []byte
	compressed, err := body.Bytes(ctx, &scratch)
	if err != nil {
		return nil, err
	}
	n, err := s2.DecodedLen(compressed)
	if err != nil {
		return nil, fmt.Errorf("snappy: %w", err)
	}
	if n > maxReadBytes {
		return nil, fmt.Errorf("snappy: decoded length %d exceeds limit %d", n, maxReadBytes)
	}
	// Twice: the message and the strings copied from it.
	if err := body.Charge().Take(ctx, 2*int64(n)); err != nil {
		return nil, err
	}
	decoded, err := s2.Decode(nil, compressed)
	if err != nil {
		return nil, fmt.Errorf("snappy: %w", err)
	}
	queries, fields, err := countReadRequest(decoded)
	switch {
	case err != nil:
		return nil, err
	case queries > maxReadQueries:
		return nil, fmt.Errorf("%d queries, the limit is %d", queries, maxReadQueries)
	case fields > maxReadFields:
		return nil, fmt.Errorf("%d fields in a request, the limit is %d", fields, maxReadFields)
	}
	if err := body.Charge().Take(ctx, int64(fields)*readFieldBytes); err != nil {
		return nil, err
	}
	req := &prompb.ReadRequest{}
	if err := req.Unmarshal(decoded); err != nil {
		return nil, err
	}
	return req, nil
}

// Fields of ReadRequest and of Query.
const (
	fieldQueries       = 1
	fieldAcceptedTypes = 2

	fieldMatchers = 3
	fieldHints    = 4
)

// countReadRequest walks a message and counts its queries and the fields at all
// levels, without decoding anything.
func countReadRequest(message []byte) (queries, fields int, err error) {
	err = eachField(message, func(number protowire.Number, query []byte) error {
		fields++
		switch number {
		case fieldAcceptedTypes:
			fields += len(query) // packed, a byte each
		case fieldQueries:
			queries++
			return eachField(query, func(number protowire.Number, part []byte) error {
				fields++
				if number != fieldMatchers && number != fieldHints {
					return nil
				}
				return eachField(part, func(protowire.Number, []byte) error {
					fields++
					return nil
				})
			})
		}
		return nil
	})
	return queries, fields, err
}

// eachField calls f with the number of every field of a message, and its bytes
// if it is length-delimited.
func eachField(message []byte, f func(protowire.Number, []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return fmt.Errorf("read request: %w", protowire.ParseError(n))
		}
		message = message[n:]
		var part []byte
		if kind == protowire.BytesType {
			part, n = protowire.ConsumeBytes(message)
		} else {
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return fmt.Errorf("read request: %w", protowire.ParseError(n))
		}
		message = message[n:]
		if err := f(number, part); err != nil {
			return err
		}
	}
	return nil
}

// readSets returns the matchers of every query. Regular expressions are charged
// before they are compiled.
func readSets(ctx context.Context, charge *reqbody.Charge, queries []*prompb.Query) ([][]*labels.Matcher, error) {
	patterns := 0
	for _, q := range queries {
		for _, m := range q.Matchers {
			if m.Type == prompb.LabelMatcher_RE || m.Type == prompb.LabelMatcher_NRE {
				patterns += len(m.Value)
			}
		}
	}
	if patterns > maxPatternBytes {
		return nil, fmt.Errorf("regular expressions of %d bytes, the limit is %d", patterns, maxPatternBytes)
	}
	if err := charge.Take(ctx, int64(patterns)*patternCost); err != nil {
		return nil, err
	}
	sets := make([][]*labels.Matcher, len(queries))
	for i, q := range queries {
		var err error
		if sets[i], err = readMatchers(q.Matchers); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

func readMatchers(wire []*prompb.LabelMatcher) ([]*labels.Matcher, error) {
	ms := make([]*labels.Matcher, len(wire))
	for i, m := range wire {
		var kind labels.MatchType
		switch m.Type {
		case prompb.LabelMatcher_EQ:
			kind = labels.MatchEqual
		case prompb.LabelMatcher_NEQ:
			kind = labels.MatchNotEqual
		case prompb.LabelMatcher_RE:
			kind = labels.MatchRegexp
		case prompb.LabelMatcher_NRE:
			kind = labels.MatchNotRegexp
		default:
			return nil, errors.New("invalid matcher type")
		}
		var err error
		if ms[i], err = labels.NewMatcher(kind, m.Name, m.Value); err != nil {
			return nil, err
		}
	}
	return ms, nil
}
