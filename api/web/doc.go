// Package web serves the page that people open in a browser: the bundle that
// `make web` builds from the folder web/ of the repository into dist/, which is
// committed, so that building the server needs Go alone.
//
//	/ui/{name}        index.html: any view; the script reads the path
//	/ui/assets/{name} scripts, styles and the icon, whose names hold their hash
//
// Assets are embedded and sent as gzip; clients that do not take it get them
// decompressed. They never change under a name, so browsers may keep them for
// ever. index.html is made for each request: it has a nonce for the styles that
// the editor adds at run time, and the theme that the user has chosen, so that
// the page has its colours from the first paint.
//
// Handlers may be called concurrently.
package web
