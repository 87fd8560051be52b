package sets

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// Recording returns the set that Record wrote to file, moved in time so that its
// first scrape is at start. Distances between times and values are unchanged.
func Recording(file string, start time.Time) Set {
	read := sync.OnceValues(func() ([]Series, error) {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		all, err := readRecording(f, start)
		if err != nil {
			return nil, fmt.Errorf("read recording %s: %w", file, err)
		}
		return all, nil
	})
	return Set{
		Name:   "real node_exporter",
		Groups: 1,
		Group:  func(int) ([]Series, error) { return read() },
	}
}

func readRecording(src io.Reader, start time.Time) ([]Series, error) {
	z, err := gzip.NewReader(src)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(z)
	var (
		all   []Series
		known = map[string]int{} // by text of the series
		times []int64            // of all scrapes
		page  []byte
	)
	for {
		var t int64
		t, page, err = readScrape(r, page)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // the latter if the recorder died
			break
		}
		if err != nil {
			return nil, fmt.Errorf("scrape %d: %w", len(times), err)
		}
		times = append(times, t)
		if err := eachSample(page, func(text []byte, p textparse.Parser, v float64) {
			i, ok := known[string(text)]
			if !ok {
				i = len(all)
				known[string(text)] = i
				all = append(all, Series{Labels: scraped(p)})
			}
			all[i].Times = append(all[i].Times, t)
			all[i].Values = append(all[i].Values, v)
		}); err != nil {
			return nil, fmt.Errorf("scrape %d: %w", len(times), err)
		}
	}
	if len(times) == 0 {
		return nil, errors.New("recording holds no scrapes")
	}
	move := start.UnixMilli() - times[0]
	for i := range times {
		times[i] += move
	}
	for i := range all {
		if len(all[i].Times) == len(times) {
			all[i].Times = times
			continue
		}
		for j := range all[i].Times {
			all[i].Times[j] += move
		}
	}
	return all, nil
}

// readScrape returns the time and the page of the next scrape. It reuses the
// memory of page.
func readScrape(r *bufio.Reader, page []byte) (int64, []byte, error) {
	t, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, page, err
	}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, page, err
	}
	if n > maxPage {
		return 0, page, fmt.Errorf("page of %d bytes exceeds the limit of %d", n, maxPage)
	}
	page = slices.Grow(page[:0], int(n))[:n]
	_, err = io.ReadFull(r, page)
	return int64(t), page, err
}

// eachSample calls f for every sample of a page in the text format.
func eachSample(page []byte, f func(text []byte, p textparse.Parser, v float64)) error {
	p := textparse.NewPromParser(page, labels.NewSymbolTable(), false)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if entry == textparse.EntrySeries {
			text, _, v := p.Series()
			f(text, p, v)
		}
	}
}

// scraped returns the labels of the parser's series, including those that a
// scraper adds.
func scraped(p textparse.Parser) labels.Labels {
	var l labels.Labels
	p.Labels(&l)
	return labels.NewBuilder(l).Set("instance", "localhost:9100").Set("job", "node").Labels()
}
