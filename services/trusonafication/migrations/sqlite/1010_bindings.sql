-- JSON: the ids of the bindings by which the devices asked were the user's. An event that says that one of them ended is about this; one about
-- another binding of the same user or device is not. NULL where it was asked before they were noted.
ALTER TABLE trusonafication ADD COLUMN bindings TEXT;
