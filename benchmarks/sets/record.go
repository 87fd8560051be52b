package sets

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// A recording is a gzip stream of scrapes: each the time in Unix milliseconds
// and the length of the page, uvarints both, and the page as it was answered.
// Pages are kept unparsed, so that the parser can change later.

// Record scrapes url every interval until span has passed or ctx ends, and
// writes the pages to a new file. Failed scrapes are left out and counted; several
// in a row end the recording. The file is readable even if the recorder is
// killed.
func Record(ctx context.Context, url string, interval, span time.Duration, file string) (scrapes int, err error) {
	return record(ctx, &http.Client{Timeout: interval}, url, interval, span, file)
}

func record(ctx context.Context, client *http.Client, url string, interval, span time.Duration, file string) (scrapes int, err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, err
	}
	z := gzip.NewWriter(f)
	defer func() { err = errors.Join(err, z.Close(), f.Close()) }()

	const maxFailures = 10 // in a row
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for end, failures := time.Now().Add(span), 0; time.Now().Before(end); {
		t := time.Now()
		page, err := scrape(ctx, client, url)
		switch {
		case err == nil:
			failures = 0
			scrapes++
			var head []byte
			head = binary.AppendUvarint(head, uint64(t.UnixMilli()))
			head = binary.AppendUvarint(head, uint64(len(page)))
			if _, err := z.Write(append(head, page...)); err != nil {
				return scrapes, err
			}
			if err := z.Flush(); err != nil {
				return scrapes, err
			}
		case ctx.Err() != nil:
			return scrapes, nil
		default:
			if failures++; failures == maxFailures {
				return scrapes, fmt.Errorf("%d scrapes in a row failed: %w", maxFailures, err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return scrapes, nil
		}
	}
	return scrapes, nil
}

// maxPage bounds a page, in bytes.
const maxPage = 16 << 20

func scrape(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d", url, resp.StatusCode)
	}
	return page, err
}
