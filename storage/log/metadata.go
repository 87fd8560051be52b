package log

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"tsdb/encoding"
	"tsdb/internal/model"
)

// AppendMetadata appends the payload of the metadata of metrics, by name: their number (u), then for each the name, type, unit and help (u,
// bytes each), sorted by name. There are at most 65,536.
func AppendMetadata(dst []byte, metrics map[string]model.Metadata) []byte {
	if len(metrics) > maxRows {
		panic(fmt.Sprintf("BUG: metadata of %d metrics in a frame", len(metrics)))
	}
	dst = binary.AppendUvarint(dst, uint64(len(metrics)))
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		m := metrics[name]
		for _, s := range [...]string{name, m.Type, m.Unit, m.Help} {
			dst = appendString(dst, s)
		}
	}
	return dst
}

// DecodeMetadata reads what AppendMetadata wrote and calls add for each metric.
// It stops at the first error of add.
func DecodeMetadata(src []byte, add func(metric string, m model.Metadata) error) error {
	n, rest, err := encoding.Uvarint(src)
	if err != nil {
		return fmt.Errorf("metadata: %w", Corruptf("metrics: %v", err))
	}
	if n > maxRows || 4*n > uint64(len(rest)) {
		return fmt.Errorf("metadata: %w", Corruptf("%d metrics in %d bytes", n, len(rest)))
	}
	for i := range n {
		var field [4]string
		for k := range field {
			var b []byte
			if b, rest, err = encoding.Bytes(rest, len(rest)); err != nil {
				return fmt.Errorf("metadata: metric %d: %w: %w", i, ErrCorrupt, err)
			}
			field[k] = string(b)
		}
		if err := add(field[0], model.Metadata{Type: field[1], Unit: field[2], Help: field[3]}); err != nil {
			return err
		}
	}
	return atEnd("metadata", rest)
}
