package door

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"tsdb/api/reqbody"
)

// Encoding returns the content encoding of a request, "" if there is none, and an
// error unless it is one of supported: gzip, zstd, deflate.
func Encoding(r *http.Request, supported ...string) (string, error) {
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	if encoding == "" || encoding == "identity" {
		return "", nil
	}
	if !slices.Contains(supported, encoding) {
		return "", &RequestError{Text: fmt.Sprintf("unsupported content encoding %q, use %s or none", Clip(encoding, 40), strings.Join(supported, ", "))}
	}
	return encoding, nil
}

// Content returns the body as it was before its encoding, and charges it and the samples
// it may hold. The slice is valid until the next call, or until received is released.
func (b *Body) Content(ctx context.Context, received *reqbody.Body, encoding string, limit reqbody.Limit) ([]byte, error) {
	raw, err := b.Bytes(ctx, received)
	if err != nil {
		return nil, err
	}
	charge := received.Charge()
	src := raw
	switch encoding {
	case "gzip":
		src, err = b.Gunzip(ctx, raw, limit, charge)
	case "deflate":
		src, err = b.Inflate(ctx, raw, limit, charge)
	case "zstd":
		return b.Unzstd(ctx, raw, limit, charge) // which has charged the samples
	default:
		if name := Compression(raw); name != "" {
			return nil, &RequestError{Text: fmt.Sprintf("the body is compressed with %s, but no header says so: send it with \"Content-Encoding: %[1]s\"", name)}
		}
	}
	if err == nil {
		err = charge.Take(ctx, int64(len(src))*DecodedCost)
	}
	if err != nil {
		return nil, err
	}
	return src, nil
}
