package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tsdb/internal/transfer"
	"tsdb/storage"
)

// Options say how files are read.
type Options struct {
	// CSV describes the columns, as VictoriaMetrics' format parameter does, or is
	// ExportedCSV.
	CSV string
	// Precision is that of the times of line protocol, such as ns or s.
	Precision string
	// DB and DBLabel add a label to the series of line protocol: the name of the
	// database that they come from. Empty = none.
	DB, DBLabel string
	Now         time.Time // the time of lines without one
}

// Kinds are the kinds of files.
var Kinds = []string{"lines", "csv", "openmetrics", "text", "influx"}

// parser turns lines into series.
type parser interface {
	// line takes a line, without its newline. What the parser retains it copies.
	line(b []byte, out *batch) error
	// flush ends a batch: what was retained is added to out.
	flush(out *batch) error
}

// Source reads files of one kind.
type Source struct {
	names  []string
	parser parser
}

// Open returns a source of files, directories of files, and patterns.
func Open(kind string, paths []string, o Options) (*Source, error) {
	s := &Source{}
	var err error
	switch kind {
	case "lines":
		s.parser = &jsonParser{}
	case "csv":
		if o.CSV == ExportedCSV {
			s.parser = &exportedParser{}
			break
		}
		s.parser, err = newCSVParser(o)
	case "openmetrics", "text":
		s.parser = &textParser{openMetrics: kind == "openmetrics"}
	case "influx":
		s.parser, err = newInfluxParser(o)
	default:
		err = fmt.Errorf("unknown kind of file %q", kind)
	}
	if err != nil {
		return nil, err
	}
	if s.names, err = expand(paths); err != nil {
		return nil, err
	}
	return s, nil
}

// Plan implements transfer.Source.
func (s *Source) Plan(context.Context) (*transfer.Plan, error) {
	p := &transfer.Plan{Min: 1, Max: 0}
	for _, name := range s.names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		abs, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		p.Units = append(p.Units, transfer.Unit{
			ID:   fmt.Sprintf("%s %d %d", abs, info.Size(), info.ModTime().UnixNano()),
			Name: name, Size: info.Size(),
		})
	}
	return p, nil
}

// Read implements transfer.Source.
func (s *Source) Read(ctx context.Context, u transfer.Unit, from int64, emit transfer.Emit) error {
	in, err := open(u.Name)
	if err != nil {
		return err
	}
	defer in.close()
	if err := in.skip(from); err != nil {
		return err
	}
	out := newBatch(from)
	for {
		b, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("at byte %d: %w", in.at, err)
		}
		for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
			b = b[:len(b)-1]
		}
		if len(b) > 0 {
			if err := s.parser.line(b, out); err != nil {
				return err
			}
		}
		if out.bytes += len(b); out.full() {
			if err := s.send(ctx, in, out, emit); err != nil {
				return err
			}
		}
	}
	return s.send(ctx, in, out, emit)
}

// send emits a batch.
func (s *Source) send(ctx context.Context, in *lines, out *batch, emit transfer.Emit) error {
	if err := s.parser.flush(out); err != nil {
		return err
	}
	if in.skipped > 0 {
		out.refuse(storage.ReasonLimit, "", fmt.Sprintf("line of more than %d MiB", maxLine>>20), in.skipped)
		in.skipped = 0
	}
	return out.emit(ctx, in.at, in.done(), emit)
}

// Close implements transfer.Source.
func (s *Source) Close() error { return nil }

// excerpt returns the beginning of a line for a message.
func excerpt(b []byte) string {
	const maxBytes = 120
	if len(b) > maxBytes {
		return strings.ToValidUTF8(string(b[:maxBytes]), "") + "…"
	}
	return strings.ToValidUTF8(string(b), "")
}
