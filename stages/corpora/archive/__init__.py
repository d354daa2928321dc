"""Archives of corpora: fetched, packed into one deterministic zip, and read in place without extracting them.

Fetching and packing: `fetch`, `sources` (a zip, tar, folder or csv of the user), `pack`, `index` (a list of files, in
place of a copy), `damage` (errors in one line). Reading: `members` (files in an archive), `tables` (.csv), `clips` (of
speech), `events` (of BIDS), `image_files` (class folders), `labels` (label files beside images), `face_lists` (lists of
labelled faces), `face_names` (persons and emotions in file names), `fer_plus` (votes for FER-2013), `unread` (what is
passed over).
"""
