package files

import (
	"context"
	"errors"
	"fmt"

	"tsdb/api/ingest/csv"
	"tsdb/api/ingest/influx"
	"tsdb/api/ingest/text"
	"tsdb/storage"
)

// decoder reads lines that are not the body of a request with the decoder of a door.
type decoder interface {
	Decode(ctx context.Context, lines []byte) (storage.Receipt, error)
}

// doorParser reads lines as a door does.
type doorParser struct {
	decoder
	cutLines  func(lines []byte) int // nil = anywhere
	seenLines func(lines []byte)     // nil = those before a position do not matter
	store     *store
}

func (p *doorParser) parse(ctx context.Context, lines []byte, out *batch) error {
	p.store.out = out
	_, err := p.Decode(ctx, lines)
	return err
}

func (p *doorParser) cut() func(lines []byte) int { return p.cutLines }
func (p *doorParser) seen() func(lines []byte)    { return p.seenLines }

// newDoorParser returns the parser of files of a kind that has a door.
func newDoorParser(kind string, o Options) (*doorParser, error) {
	b := newBackend()
	p := &doorParser{store: b.store}
	switch kind {
	case "text", "openmetrics":
		lines := text.NewLines(b, kind == "openmetrics")
		p.decoder, p.cutLines, p.seenLines = lines, lines.Cut, lines.Seen
		return p, nil
	case "csv":
		if o.CSV == "" {
			return nil, errors.New(`--csv.format is missing: the columns, such as "1:time:unix_s,2:label:host,3:metric:temperature", or tsdb for what tsdb export writes`)
		}
		lines, err := csv.NewLines(b, o.CSV, o.Now)
		if err != nil {
			return nil, fmt.Errorf("--csv.format: %w", err)
		}
		p.decoder = lines
		return p, nil
	}
	lines, err := influx.NewLines(b, influx.LinesOptions{Precision: o.Precision, DB: o.DB, DBLabel: o.DBLabel, Now: o.Now})
	p.decoder, p.cutLines = lines, influx.WholeLines
	return p, err
}
