package reqbody

import (
	"mime"
	"net/http"
)

// formCost is the maximum number of bytes of memory per byte of a form: the text
// and its unescaped parts.
const formCost = 3

// ParseForm parses the parameters in the URL and the body of r into r.Form. The
// caller releases the charge, which may be nil, after the response. The error is
// that of Read or of parsing the form.
func (b *Budget) ParseForm(w http.ResponseWriter, r *http.Request, limit Limit) (*Charge, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	multipart := kind == "multipart/form-data"
	if r.Method != http.MethodPost && r.Method != http.MethodPut || r.Body == nil || r.Body == http.NoBody || !multipart && kind != "application/x-www-form-urlencoded" {
		return nil, r.ParseForm()
	}
	body, err := b.Read(w, r, limit)
	if err != nil {
		return nil, err
	}
	defer body.Release()
	charge := b.NewCharge()
	if err := charge.Take(r.Context(), int64(body.Len())*formCost); err != nil {
		return nil, err
	}
	r.Body = body
	if multipart {
		err = r.ParseMultipartForm(limit.Bytes) // entirely in memory, never in files
	} else {
		err = r.ParseForm()
	}
	r.Body = http.NoBody
	if err != nil {
		charge.Release()
		return nil, err
	}
	return charge, nil
}
