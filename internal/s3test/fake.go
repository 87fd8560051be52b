package s3test

import (
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fake is a service with one bucket in memory. It knows the requests that a store makes,
// and no signatures. It is safe for concurrent use.
type Fake struct {
	PageKeys         int  // keys in a page of a list; 0 = 1000
	IgnoreConditions bool // as old services do

	mu struct {
		sync.Mutex
		objects map[string][]byte
		uploads map[string]*upload // by id
		nextID  int
	}
}

// upload is one that has not been completed.
type upload struct {
	key   string
	began time.Time
	parts map[int][]byte
}

// NewFake returns a service with an empty bucket.
func NewFake() *Fake {
	f := &Fake{}
	f.mu.objects, f.mu.uploads = map[string][]byte{}, map[string]*upload{}
	return f
}

// Uploads returns the number of uploads that have not been completed or aborted.
func (f *Fake) Uploads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.mu.uploads)
}

// Age makes all uploads older by d.
func (f *Fake) Age(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range f.mu.uploads {
		u.began = u.began.Add(-d)
	}
}

func etagOf(b []byte) string {
	sum := md5.Sum(b)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// ServeHTTP implements http.Handler.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if bucket != Bucket {
		Refuse(w, http.StatusNotFound, "NoSuchBucket")
		return
	}
	if want := r.Header.Get("X-Amz-Checksum-Crc32c"); want != "" {
		crc := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
		if base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc)) != want {
			Refuse(w, http.StatusBadRequest, "BadDigest")
			return
		}
	}
	q := r.URL.Query()
	switch Kind(r) {
	case "PutObject":
		f.putLocked(w, r, key, body, "")
	case "GetObject", "HeadObject":
		f.getLocked(w, r, key)
	case "CopyObject":
		source, _ := url.PathUnescape(strings.TrimPrefix(r.Header.Get("X-Amz-Copy-Source"), "/"))
		data, ok := f.mu.objects[strings.TrimPrefix(source, Bucket+"/")]
		if !ok {
			Refuse(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		f.mu.objects[key] = data
		writeXML(w, "CopyObjectResult", struct{ ETag string }{etagOf(data)})
	case "DeleteObjects":
		var in struct{ Object []struct{ Key string } }
		if xml.Unmarshal(body, &in) != nil {
			Refuse(w, http.StatusBadRequest, "MalformedXML")
			return
		}
		for _, o := range in.Object {
			delete(f.mu.objects, o.Key)
		}
		writeXML(w, "DeleteResult", struct{}{})
	case "ListObjectsV2":
		f.listLocked(w, q)
	case "CreateMultipartUpload":
		f.mu.nextID++
		id := "upload-" + strconv.Itoa(f.mu.nextID)
		f.mu.uploads[id] = &upload{key: key, began: time.Now(), parts: map[int][]byte{}}
		writeXML(w, "InitiateMultipartUploadResult", struct{ Bucket, Key, UploadId string }{bucket, key, id})
	case "ListMultipartUploads":
		f.listUploadsLocked(w, q)
	default:
		f.uploadLocked(w, r, key, body)
	}
}

// uploadLocked handles the requests about one upload.
func (f *Fake) uploadLocked(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	id := r.URL.Query().Get("uploadId")
	u := f.mu.uploads[id]
	if u == nil || u.key != key {
		Refuse(w, http.StatusNotFound, "NoSuchUpload")
		return
	}
	switch Kind(r) {
	case "UploadPart":
		number, _ := strconv.Atoi(r.URL.Query().Get("partNumber"))
		u.parts[number] = body
		w.Header().Set("ETag", etagOf(body))
	case "AbortMultipartUpload":
		delete(f.mu.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case "CompleteMultipartUpload":
		var in struct {
			Part []struct {
				PartNumber int
				ETag       string
			}
		}
		if xml.Unmarshal(body, &in) != nil {
			Refuse(w, http.StatusBadRequest, "MalformedXML")
			return
		}
		var data []byte
		for i, p := range in.Part {
			if part, ok := u.parts[p.PartNumber]; !ok || etagOf(part) != p.ETag || p.PartNumber != i+1 {
				Refuse(w, http.StatusBadRequest, "InvalidPart")
				return
			}
			data = append(data, u.parts[p.PartNumber]...)
		}
		f.putLocked(w, r, key, data, id)
	}
}

// putLocked makes an object if the conditions are met; id is that of its upload, if any.
func (f *Fake) putLocked(w http.ResponseWriter, r *http.Request, key string, data []byte, id string) {
	existing, ok := f.mu.objects[key]
	match := r.Header.Get("If-Match")
	switch {
	case f.IgnoreConditions:
	case r.Header.Get("If-None-Match") == "*" && ok, match != "" && ok && match != etagOf(existing):
		Refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	case match != "" && !ok:
		Refuse(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	f.mu.objects[key] = data
	w.Header().Set("ETag", etagOf(data))
	if id != "" {
		delete(f.mu.uploads, id)
		writeXML(w, "CompleteMultipartUploadResult", struct{ Key, ETag string }{key, etagOf(data)})
	}
}

func (f *Fake) getLocked(w http.ResponseWriter, r *http.Request, key string) {
	data, ok := f.mu.objects[key]
	if !ok {
		Refuse(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	if match := r.Header.Get("If-Match"); match != "" && match != etagOf(data) {
		Refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	w.Header().Set("ETag", etagOf(data))
	status := http.StatusOK
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		first, last, _ := strings.Cut(text, "-")
		from, _ := strconv.Atoi(first)
		to, err := strconv.Atoi(last)
		switch {
		case first == "":
			from, to = max(0, len(data)-to), len(data)-1
		case err != nil || to >= len(data):
			to = len(data) - 1
		}
		if from >= len(data) {
			Refuse(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(data)))
		data, status = data[from:to+1], http.StatusPartialContent
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // the client may be gone
	}
}

func (f *Fake) listLocked(w http.ResponseWriter, q url.Values) {
	type content struct{ Key string }
	var page struct {
		Contents              []content
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
	}
	for _, key := range slices.Sorted(maps.Keys(f.mu.objects)) {
		if !strings.HasPrefix(key, q.Get("prefix")) || key <= q.Get("continuation-token") {
			continue
		}
		if len(page.Contents) == cmp.Or(f.PageKeys, 1000) {
			page.IsTruncated, page.NextContinuationToken = true, page.Contents[len(page.Contents)-1].Key
			break
		}
		page.Contents = append(page.Contents, content{key})
	}
	writeXML(w, "ListBucketResult", page)
}

func (f *Fake) listUploadsLocked(w http.ResponseWriter, q url.Values) {
	type row struct{ Key, UploadId, Initiated string }
	var page struct {
		Upload                            []row
		IsTruncated                       bool
		NextKeyMarker, NextUploadIdMarker string
	}
	for _, id := range slices.Sorted(maps.Keys(f.mu.uploads)) {
		u := f.mu.uploads[id]
		if !strings.HasPrefix(u.key, q.Get("prefix")) || id <= q.Get("upload-id-marker") {
			continue
		}
		if len(page.Upload) == cmp.Or(f.PageKeys, 1000) {
			last := page.Upload[len(page.Upload)-1]
			page.IsTruncated, page.NextKeyMarker, page.NextUploadIdMarker = true, last.Key, last.UploadId
			break
		}
		page.Upload = append(page.Upload, row{u.key, id, u.began.UTC().Format(time.RFC3339)})
	}
	writeXML(w, "ListMultipartUploadsResult", page)
}

func writeXML(w http.ResponseWriter, name string, v any) {
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).EncodeElement(v, xml.StartElement{Name: xml.Name{Local: name}}) // the client may be gone
}
