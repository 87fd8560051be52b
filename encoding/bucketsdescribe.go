package encoding

import "fmt"

// BucketField describes an inner column of a column of buckets, for people inspecting
// a file.
type BucketField struct {
	Name string // of the values
	Form string // how they follow from others
	Info Info   // zero if there is no column because all values are as predicted
}

func (f BucketField) String() string {
	if f.Info.Bytes == 0 {
		return f.Name + ": " + f.Form
	}
	return fmt.Sprintf("%s: %s, %v, %d bytes", f.Name, f.Form, f.Info, f.Info.Bytes)
}

// bucketForms names the forms of the inner columns, as far as they differ from
// bucketFormNames.
var (
	bucketFormNames = [...]string{"as predicted", "own", "predicted", "predicted otherwise"}

	bucketTimesForms = [bucketTimes][]string{
		bucketCount:     {"by interval", "own", "from interval"},
		bucketFirstTime: {"by interval", "from start", "from interval"},
		bucketLastTime:  {"by interval", "from end", "from interval"},
		bucketLast2Time: {"by interval", "from end", "from interval"},
		bucketLast3Time: {"by interval", "from end", "from interval"},
	}
	bucketValuesForms = [bucketValues][]string{
		bucketLast:    {"zero"},
		bucketFirst:   {"last", "own", "from last", "from last before"},
		bucketLast2:   {"last", "own", "from last"},
		bucketMin:     {"lower end", "own", "from lower end"},
		bucketMax:     {"higher end", "own", "from higher end"},
		bucketSum:     {"line", "own", "from line of ends", "from line of extremes"},
		bucketLost:    {"zero"},
		bucketChanges: {"zero", "own", "from count"},
		bucketResets:  {"zero"},
		bucketFlags:   {"zero"},
	}
)

// BucketFields describes the inner columns of a column of buckets with n rows. k is
// KindBucketTimes or KindBucketValues. Like ColumnInfo it reads headers only.
func BucketFields(k Kind, src []byte, n int) ([]BucketField, error) {
	if err := checkDecode(k.String(), n); err != nil || len(src) == 0 {
		return nil, err
	}
	if n == 0 {
		return nil, corruptf("%s: %d bytes for no row", k, len(src))
	}
	var p bucketParts
	var err error
	parts, forms := bucketValuesParts[:], bucketValuesForms[:]
	if k == KindBucketTimes {
		parts, forms = bucketTimesParts[:], bucketTimesForms[:]
		_, err = p.parseTimes(src)
	} else {
		err = p.parseValues(src)
	}
	if err != nil {
		return nil, err
	}
	fields := make([]BucketField, len(parts))
	for i, part := range parts {
		form := p.forms[i]
		f := BucketField{Name: part.name, Form: bucketFormNames[form]}
		if int(form) < len(forms[i]) {
			f.Form = forms[i][form]
		}
		if form != formPredicted {
			if f.Info, err = bucketPartInfo(k, i, form, p.bodies[i], n); err != nil {
				return fields[:i], fmt.Errorf("%s: %w", part.name, err)
			}
		}
		fields[i] = f
	}
	return fields, nil
}

// bucketPartInfo describes the bytes of inner column i.
func bucketPartInfo(k Kind, i int, form bucketForm, src []byte, n int) (Info, error) {
	if k == KindBucketTimes || i >= bucketFloats {
		return ColumnInfo(KindTimestamps, src, n)
	}
	if form != formOwn {
		if _, _, err := parsePredictedFloats(src, n); err != nil {
			return Info{}, err
		}
	}
	return ColumnInfo(KindFloats, src, n)
}

// buckets sets the form of a column of buckets: how many inner columns it has, and
// whether there are exceptions.
func (i *Info) buckets(src []byte, n int) error {
	fields, err := BucketFields(i.Kind, src, n)
	if err != nil {
		return err
	}
	columns := 0
	for _, f := range fields {
		if f.Info.Bytes > 0 {
			columns++
			i.Exceptions += f.Info.Exceptions
		}
	}
	i.Form = fmt.Sprintf("%d inner columns", columns)
	return nil
}
